"""The commands that a formula of a reply may have.

None has effects outside its formula: left out is what links, defines, reads, writes or styles, and
what moves a part of a formula over the text around it.
"""

from __future__ import annotations

_LATEX = """
acute aleph alpha amalg And angle approx approxeq arccos arcsin arctan arg ast asymp atop
backepsilon backprime backsim backsimeq backslash bar barwedge Bbbk because beta beth between bf
Big big bigcap bigcirc bigcup Bigg bigg Biggl biggl Biggm biggm Biggr biggr Bigl bigl Bigm bigm
bigodot bigoplus bigotimes Bigr bigr bigsqcup bigstar bigtriangledown bigtriangleup biguplus
bigvee bigwedge binom blacklozenge blacksquare blacktriangle blacktriangledown blacktriangleleft
blacktriangleright bmod boldsymbol bot bowtie Box boxdot boxed boxminus boxplus boxtimes brace
brack breve bullet Bumpeq bumpeq cal Cap cap cdot cdotp cdots centerdot cfrac check checkmark chi
choose circ circeq circlearrowleft circlearrowright circledast circledcirc circleddash circledR
circledS cline clubsuit colon color colorbox complement cong coprod copyright cos cosh cot coth
csc Cup cup curlyeqprec curlyeqsucc curlyvee curlywedge curvearrowleft curvearrowright dagger
daleth dashleftarrow dashrightarrow dashv dbinom ddagger ddddot dddot ddot ddots deg Delta delta
det dfrac diagdown diagup Diamond diamond diamondsuit digamma dim displaylimits displaystyle div
divideontimes dot Doteq doteq doteqdot dotplus dots dotsb dotsc dotsi dotsm dotso doublebarwedge
doublecap doublecup Downarrow downarrow downdownarrows downharpoonleft downharpoonright ell emph
emptyset enspace epsilon eqcirc eqsim eqslantgtr eqslantless equiv eta eth exists exp
fallingdotseq fbox fcolorbox Finv flat forall frac frown Game Gamma gamma gcd ge genfrac geq geqq
geqslant gets gg ggg gggtr gimel gnapprox gneq gneqq gnsim grave gt gtrapprox gtrdot gtreqless
gtreqqless gtrless gtrsim gvertneqq hat hbar hdotsfor heartsuit hfill hline hom hookleftarrow
hookrightarrow hphantom hskip hslash hspace Huge huge idotsint iff iiiint iiint iint Im imath
impliedby implies in inf infty injlim int intercal iota it jmath Join kappa ker kern Lambda lambda
land langle LARGE Large large lbrace lbrack lceil ldotp ldots le leadsto left Leftarrow leftarrow
leftarrowtail leftharpoondown leftharpoonup leftleftarrows Leftrightarrow leftrightarrow
leftrightarrows leftrightharpoons leftrightsquigarrow leftthreetimes leq leqq leqslant lessapprox
lessdot lesseqgtr lesseqqgtr lessgtr lesssim lfloor lg lgroup lhd lim liminf limits limsup ll
llcorner Lleftarrow lll llless lmoustache ln lnapprox lneq lneqq lnot lnsim log Longleftarrow
longleftarrow Longleftrightarrow longleftrightarrow longmapsto Longrightarrow longrightarrow
looparrowleft looparrowright lor lozenge lrcorner Lsh lt ltimes lVert lvert lvertneqq maltese
mapsto mathbb mathbf mathbin mathcal mathclose mathfrak mathinner mathit mathnormal mathop
mathopen mathord mathpunct mathrel mathring mathrm mathscr mathsf mathstrut mathtt max mbox
measuredangle medspace mho mid middle min mkern mod models mp mspace mu multicolumn multimap nabla
natural ncong ne nearrow neg negmedspace negthickspace negthinspace neq newline nexists ngeq ngeqq
ngeqslant ngtr ni nLeftarrow nleftarrow nLeftrightarrow nleftrightarrow nleq nleqq nleqslant nless
nmid nobreakspace nolimits nonumber normalsize not notag notin nparallel nprec npreceq nRightarrow
nrightarrow nshortmid nshortparallel nsim nsubseteq nsubseteqq nsucc nsucceq nsupseteq nsupseteqq
ntriangleleft ntrianglelefteq ntriangleright ntrianglerighteq nu nVDash nVdash nvDash nvdash
nwarrow odot oiint oint Omega omega ominus operatorname oplus oslash otimes over overbrace
overbracket overleftarrow overleftrightarrow overline overparen overrightarrow overset owns P
parallel partial perp phantom Phi phi Pi pi pitchfork pm pmod pod pounds Pr prec precapprox
preccurlyeq preceq precnapprox precneqq precnsim precsim prime prod projlim propto Psi psi qquad
quad rangle rbrace rbrack rceil Re restriction rfloor rgroup rhd rho right Rightarrow rightarrow
rightarrowtail rightharpoondown rightharpoonup rightleftarrows rightleftharpoons rightrightarrows
rightsquigarrow rightthreetimes risingdotseq rm rmoustache root Rrightarrow Rsh rtimes rVert rvert
S scriptscriptstyle scriptsize scriptstyle searrow sec setminus sf sharp shortmid shortparallel
shoveleft shoveright sideset Sigma sigma sim simeq sin sinh small smallfrown smallint
smallsetminus smallsmile smile space spadesuit sphericalangle sqcap sqcup sqrt sqsubset sqsubseteq
sqsupset sqsupseteq square stackrel star strut Subset subset subseteq subseteqq subsetneq
subsetneqq substack succ succapprox succcurlyeq succeq succnapprox succneqq succnsim succsim sum
sup Supset supset supseteq supseteqq supsetneq supsetneqq surd swarrow tag tan tanh tau tbinom
text textbf textcolor textit textnormal textrm textsf textstyle texttt tfrac therefore Theta theta
thickapprox thicksim thickspace thinspace tilde times tiny to top triangle triangledown
triangleleft trianglelefteq triangleq triangleright trianglerighteq tt twoheadleftarrow
twoheadrightarrow ulcorner underbrace underbracket underleftarrow underleftrightarrow underline
underparen underrightarrow underset unlhd unrhd Uparrow uparrow Updownarrow updownarrow
upharpoonleft upharpoonright uplus Upsilon upsilon upuparrows urcorner varDelta varepsilon
varGamma varinjlim varkappa varLambda varliminf varlimsup varnothing varOmega varPhi varphi varPi
varpi varprojlim varpropto varPsi varrho varSigma varsigma varsubsetneq varsubsetneqq varsupsetneq
varsupsetneqq varTheta vartheta vartriangle vartriangleleft vartriangleright varUpsilon varXi
Vdash vDash vdash vdots vec vee veebar Vert vert vphantom Vvdash wedge widehat widetilde wp wr Xi
xi xleftarrow xrightarrow yen zeta
"""

_MATHJAX = """
above abovewithdelims Aboxed adjustlimits argmax argmin array Arrowvert arrowvert atopwithdelims
Bbb bcancel bigtimes bm Bra bra bracevert Braket braket buildrel C cancel cancelto cases ce
celsius centercolon centernot centerOver clap Colonapprox colonapprox Coloneq coloneq Coloneqq
coloneqq Colonsim colonsim cr cramped crampedclap crampedllap crampedrlap crampedsubstack dblcolon
degree displaylines divsymbol enclose eqalign Eqcolon eqcolon Eqqcolon eqqcolon eqref frak
framebox hbox hdashline hfil intop Ket ket Ketbra ketbra label LaTeX leftroot llap
longleftrightarrows longLeftrightharpoons longRightleftharpoons longrightleftharpoons lparen
mathbfcal mathbffrak mathbfit mathbfscr mathbfsf mathbfsfit mathbfsfup mathbfup mathchoice
mathclap mathllap mathmakebox mathmbox mathrlap mathsfit mathsfup mathup matrix micro mit mskip N
ndownarrow nonscript nuparrow ohm oldstyle omicron ordinarycolon overunderset overwithdelims
perthousand pmatrix pmb prescript pu Q R ref refeq rlap rparen rule scr Set set skew splitdfrac
splitfrac stackbin TeX textsc tripledash unicode uproot vcenter xcancel xhookleftarrow
xhookrightarrow xLeftarrow xleftharpoondown xleftharpoonup xLeftrightarrow xleftrightarrow
xLeftrightharpoons xleftrightharpoons xlongequal xmapsto xmathstrut xRightarrow xrightharpoondown
xrightharpoonup xRightleftharpoons xrightleftharpoons xtofrom xtwoheadleftarrow xtwoheadrightarrow
Z
"""

_ENVIRONMENTS = """
aligned alignedat array bmatrix Bmatrix cases gathered matrix pmatrix smallmatrix split subarray
vmatrix Vmatrix
"""

LATEX_COMMANDS = frozenset(_LATEX.split())
"""Commands of LaTeX and of what nbconvert's template loads: amsmath, amssymb, mathrsfs, xcolor, and
unicode-math for xelatex."""

LATEX_ENVIRONMENTS = frozenset(_ENVIRONMENTS.split())
"""Environments inside a formula, of the same packages."""

MATHJAX_COMMANDS = LATEX_COMMANDS | frozenset(_MATHJAX.split())
"""Commands that MathJax knows as JupyterLab loads it, and some of KaTeX."""
