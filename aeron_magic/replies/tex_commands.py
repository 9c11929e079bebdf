"""The commands that a formula of a reply may have.

Those of MathJax with its packages and of KaTeX that have no effects outside their formula. LaTeX
has hundreds of others, which read files, change the document or run without end, when a notebook
becomes a PDF; neither MathJax nor KaTeX knows them. Left out are links, styles, definitions, and
what moves a part of a formula over the text around it.
"""

from __future__ import annotations

_NAMES = """
AA aa above abovewithdelims Aboxed abs absolutevalue acomm acos acosecant acosine acot acotangent
acsc acute adjustlimits admat AE ae alef alefsym aleph allowbreak Alpha alpha amalg And angl angle
angln anticommutator antidiagonalmatrix approx approxcolon approxeq arccos arccosecant arccosine
arccot arccotangent arccsc arcctg arcsec arcsecant arcsin arcsine arctan arctangent arctg arg
argmax argmin array Arrowvert arrowvert asec asecant asin asine ast asymp atan atangent atop
atopwithdelims b backepsilon backprime backsim backsimeq backslash bar barwedge Bbb Bbbk bcancel
because Beta beta beth between bf Big big bigcap bigcirc bigcup Bigg bigg Biggl biggl Biggm biggm
Biggr biggr Bigl bigl Bigm bigm bigodot bigoplus bigotimes Bigr bigr bigsqcup bigstar bigtimes
bigtriangledown bigtriangleup biguplus bigvee bigwedge binom blacklozenge blacksquare blacktriangle
blacktriangledown blacktriangleleft blacktriangleright bm bmod bmqty bold boldsymbol bot bowtie Box
boxdot boxed boxminus boxplus boxtimes Bqty bqty Bra bra brace bracevert brack Braket braket breve
buildrel bull bullet Bumpeq bumpeq C c cal cancel cancelto Cap cap cases cdot cdotp cdots ce
celsius centercolon centerdot centernot centerOver cfrac ch check checkmark Chi chi choose circ
circeq circlearrowleft circlearrowright circledast circledcirc circleddash circledR circledS clap
cline clubs clubsuit cnums colon Colonapprox colonapprox coloncolon coloncolonequals Coloneq
coloneq Coloneqq coloneqq colonequals Colonsim colonsim color colorbox comm commutator complement
Complex cong coprod copyright cos cosec cosecant cosh cosine cot cotangent cotg coth Cov cp cr
cramped crampedclap crampedllap crampedrlap crampedsubstack cross crossproduct csc csch ctg cth Cup
cup curl curlyeqprec curlyeqsucc curlyvee curlywedge curvearrowleft curvearrowright d Dagger dagger
daleth Darr dArr darr dashleftarrow dashrightarrow dashv dbinom dblcolon dd ddagger ddddot dddot
ddot ddots deg degree Delta delta derivative det determinant dfrac diag diagdown diagonalmatrix
diagup Diamond diamond diamonds diamondsuit diffd differential digamma dim displaylimits
displaylines displaystyle div divergence divideontimes divsymbol dmat dot Doteq doteq doteqdot
dotplus dotproduct dots dotsb dotsc dotsi dotsm dotso doublebarwedge doublecap doublecup Downarrow
downarrow downdownarrows downharpoonleft downharpoonright dv dyad ell emph empty emptyset enclose
enspace ensuremath Epsilon epsilon eqalign eqcirc Eqcolon eqcolon Eqqcolon eqqcolon eqref eqsim
eqslantgtr eqslantless equalscolon equiv erf Eta eta eth ev eval evaluated exist exists exp
expectationvalue exponential expval fallingdotseq fbox fcolorbox fderivative fdv Finv flat flatfrac
forall frac frak framebox frown functionalderivative Game Gamma gamma gcd ge genfrac geq geqq
geqslant gets gg ggg gggtr gimel gnapprox gneq gneqq gnsim grad gradient gradientnabla grave gt
gtrapprox gtrdot gtreqless gtreqqless gtrless gtrsim gvertneqq H Harr hArr harr hat hbar hbox
hdashline hdotsfor hearts heartsuit hfil hfill hline hom hookleftarrow hookrightarrow hphantom
hskip hslash hspace Huge huge hypcosecant hypcosine hypcotangent hypsecant hypsine hyptangent i
identitymatrix idotsint iff iiiint iiint iint Im image imaginary imat imath impliedby implies in
inf infin infty injlim innerproduct int intercal intop Iota iota ip isin it j jmath Join k Kappa
kappa KaTeX ker kern Ket ket Ketbra ketbra L l label Lambda lambda land lang langle laplacian LARGE
Large large Larr lArr larr LaTeX lBrace lbrace lbrack lceil lcm ldotp ldots le leadsto left
Leftarrow leftarrow leftarrowtail leftharpoondown leftharpoonup leftleftarrows Leftrightarrow
leftrightarrow leftrightarrows leftrightharpoons leftrightsquigarrow leftroot leftthreetimes leq
leqq leqslant lessapprox lessdot lesseqgtr lesseqqgtr lessgtr lesssim lfloor lg lgroup lhd lim
liminf limits limsup ll llap llbracket llcorner Lleftarrow lll llless lmoustache ln lnapprox lneq
lneqq lnot lnsim log logarithm Longleftarrow longleftarrow Longleftrightarrow longleftrightarrow
longleftrightarrows longLeftrightharpoons longmapsto Longrightarrow longrightarrow
longRightleftharpoons longrightleftharpoons looparrowleft looparrowright lor lozenge lparen Lrarr
lrarr lrcorner Lsh lt ltimes lVert lvert lvertneqq maltese mapsto mathbb mathbbm mathbf mathbfcal
mathbffrak mathbfit mathbfscr mathbfsf mathbfsfit mathbfsfup mathbfup mathbin mathcal mathchoice
mathclap mathclose mathds mathfrak mathinner mathit mathllap mathmakebox mathmbox mathnormal mathop
mathopen mathord mathpunct mathrel mathring mathrlap mathrm mathscr mathsf mathsfit mathsfup
mathstrut mathtt mathup matrix matrixdeterminant matrixel matrixelement matrixquantity max mbox
mdet measuredangle medspace mel mho micro mid middle min minuscolon minuso mit mkern mod models mp
mqty mskip mspace Mu mu multicolumn multimap N n nabla natnums natural naturallogarithm ncong
ndownarrow ne nearrow neg negmedspace negthickspace negthinspace neq newline nexists ngeq ngeqq
ngeqslant ngtr ni nLeftarrow nleftarrow nLeftrightarrow nleftrightarrow nleq nleqq nleqslant nless
nmid nobreak nobreakspace nolimits nonscript nonumber norm normalsize not notag notin notni
nparallel nprec npreceq nRightarrow nrightarrow nshortmid nshortparallel nsim nsubseteq nsubseteqq
nsucc nsucceq nsupset nsupseteq nsupseteqq ntriangleleft ntrianglelefteq ntriangleright
ntrianglerighteq Nu nu nuparrow nVDash nVdash nvDash nvdash nwarrow O o odot OE oe ohm oiiint oiint
oint oldstyle Omega omega Omicron omicron ominus op operatorname operatornamewithlimits oplus order
ordinarycolon oslash otimes outerproduct over overbrace overbracket overgroup overleftarrow
overleftharpoon overleftrightarrow overline overlinesegment overparen Overrightarrow overrightarrow
overrightharpoon overset overunderset overwithdelims owns P parallel partial partialderivative
paulimatrix pb pderivative pdv perp perthousand phantom phase Phi phi Pi pi pitchfork plim plusmn
pm pmat pmatrix pmb pmod Pmqty pmqty pod poissonbracket pounds pqty Pr prec precapprox preccurlyeq
preceq precnapprox precneqq precnsim precsim prescript prime principalvalue Probability prod
projlim propto Psi psi pu PV pv Q qall qand qas qassume qc qcc qcomma qelse qeven qfor qgiven qif
qin qinteger qlet qodd qor qotherwise qq qqtext qquad qsince qthen qty quad quantity qunless qusing
R r rang rangle rank Rarr rArr rarr rBrace rbrace rbrack rceil Re real Reals reals ref refeq relax
Res Residue restriction rfloor rgroup rhd Rho rho right Rightarrow rightarrow rightarrowtail
rightharpoondown rightharpoonup rightleftarrows rightleftharpoons rightrightarrows rightsquigarrow
rightthreetimes risingdotseq rlap rm rmoustache root rot rparen rrbracket Rrightarrow Rsh rtimes
rule rVert rvert S sbmqty scr scriptscriptstyle scriptsize scriptstyle sdot searrow sec secant sech
Set set setminus sf sgn sh Sha sharp shortmid shortparallel shoveleft shoveright sideset Sigma
sigma sign sim simcolon simeq sin sine sinh skew small smallfrown smallint smallmatrixquantity
smallsetminus smallsmile smdet smile smqty sout space spades spadesuit sphericalangle splitdfrac
splitfrac sPmqty spmqty sqcap sqcup sqrt sqsubset sqsubseteq sqsupset sqsupseteq square ss stackbin
stackrel star strut sub sube Subset subset subseteq subseteqq subsetneq subsetneqq substack succ
succapprox succcurlyeq succeq succnapprox succneqq succnsim succsim sum sup supe Supset supset
supseteq supseteqq supsetneq supsetneqq surd svmqty swarrow symbb symbf symbfcal symbffrak symbfit
symbfscr symbfsf symbfsfit symbfsfup symbfup symcal symfrak symit symnormal symrm symscr symsf
symsfit symsfup symtt symup t tag tan tangent tanh Tau tau tbinom TeX text textacutedbl
textasciiacute textasciibreve textasciicaron textasciicircum textasciidieresis textasciimacron
textasciitilde textasteriskcentered textbackslash textbaht textbar textbardbl textbf textbigcircle
textblank textborn textbraceleft textbraceright textbrokenbar textbullet textcelsius textcent
textcentoldstyle textcircledP textclap textcolonmonetary textcolor textcompwordmark textcopyleft
textcopyright textcurrency textdagger textdaggerdbl textdegree textdied textdiscount textdiv
textdivorced textdollar textdollaroldstyle textdong textdownarrow texteightoldstyle textellipsis
textemdash textendash textestimated texteuro textexclamdown textfiveoldstyle textflorin
textfouroldstyle textfractionsolidus textgravedbl textgreater textguarani textinterrobang
textinterrobangdown textit textlangle textlbrackdbl textleftarrow textless textlira textllap
textlnot textlquill textmarried textmd textmho textminus textmu textmusicalnote textnaira
textnineoldstyle textnormal textnumero textohm textonehalf textoneoldstyle textonequarter
textonesuperior textopenbullet textordfeminine textordmasculine textparagraph textperiodcentered
textpertenthousand textperthousand textpeso textpm textquestiondown textquotedblleft
textquotedblright textquoteleft textquoteright textquotesingle textrangle textrbrackdbl textrecipe
textreferencemark textregistered textrightarrow textrlap textrm textrquill textsc textsection
textservicemark textsevenoldstyle textsf textsixoldstyle textsl textsterling textstyle
textsubscript textsuperscript textsurd textthreeoldstyle textthreequarters textthreesuperior
texttildelow texttimes texttrademark texttt texttwooldstyle texttwosuperior textunderscore textup
textuparrow textvisiblespace textwon textyen textzerooldstyle tfrac tg th therefore Theta theta
thetasym thickapprox thicksim thickspace thinspace tilde times tiny to top Tr tr Trace trace
triangle triangledown triangleleft trianglelefteq triangleq triangleright trianglerighteq
tripledash tt twoheadleftarrow twoheadrightarrow u Uarr uArr uarr ulcorner underbar underbrace
underbracket undergroup underleftarrow underleftrightarrow underline underlinesegment underparen
underrightarrow underset undertilde unicode unlhd unrhd upalpha Uparrow uparrow upbeta upchi
Updelta updelta Updownarrow updownarrow upepsilon upeta Upgamma upgamma upharpoonleft
upharpoonright upiota upkappa Uplambda uplambda uplus upmu upnu Upomega upomega upomicron Upphi
upphi Uppi uppi Uppsi uppsi uprho uproot Upsigma upsigma Upsilon upsilon uptau Uptheta uptheta
upuparrows Upupsilon upupsilon upvarepsilon upvarphi upvarpi upvarrho upvarsigma upvartheta Upxi
upxi upzeta urcorner utilde v va Var var varDelta varepsilon varGamma variation varinjlim varkappa
varLambda varliminf varlimsup varnothing varOmega varPhi varphi varPi varpi varprojlim varpropto
varPsi varrho varSigma varsigma varsubsetneq varsubsetneqq varsupsetneq varsupsetneqq varTheta
vartheta vartriangle vartriangleleft vartriangleright varUpsilon varXi vb vcentcolon vcenter Vdash
vDash vdash vdot vdots vec vectorarrow vectorbold vectorunit vee veebar Vert vert vline vmqty
vnabla vphantom vqty vu Vvdash wedge weierp widecheck widehat widetilde wp wr xcancel
xhookleftarrow xhookrightarrow Xi xi xLeftarrow xleftarrow xleftharpoondown xleftharpoonup
xLeftrightarrow xleftrightarrow xLeftrightharpoons xleftrightharpoons xlongequal xmapsto xmat
xmathstrut xmatrix xRightarrow xrightarrow xrightharpoondown xrightharpoonup xRightleftharpoons
xrightleftharpoons xtofrom xtwoheadleftarrow xtwoheadrightarrow yen Z zeromatrix Zeta zeta zmat
"""

TEX_COMMANDS = frozenset(_NAMES.split())
