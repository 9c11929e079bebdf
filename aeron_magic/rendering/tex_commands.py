"""The commands and environments that a formula may have where LaTeX typesets it.

They are those of LaTeX, amsmath, amssymb, mathrsfs and xcolor, which the template of nbconvert
loads, without those that read, write or define anything. MathJax has more: mhchem, physics and
others.
"""

from __future__ import annotations

_COMMANDS = """
Acute And Bar Bbbk Big Bigg Biggl Biggm Biggr Bigl Bigm Bigr Box Breve Bumpeq Cap Check Cup Ddot
Delta Diamond Dot Doteq Downarrow Finv Game Gamma Grave Hat Huge Im Join LARGE Lambda Large
Leftarrow Leftrightarrow Lleftarrow Longleftarrow Longleftrightarrow Longrightarrow Lsh Omega P
Phi Pi Pr Psi Re Rightarrow Rrightarrow Rsh S Sigma Subset Supset Theta Tilde Uparrow Updownarrow
Upsilon Vdash Vec Vert Vvdash Xi acute aleph alpha amalg angle approx approxeq arccos arcsin
arctan arg ast asymp atop backepsilon backprime backsim backsimeq backslash bar barwedge because
begin beta beth between bf big bigcap bigcirc bigcup bigg biggl biggm biggr bigl bigm bigodot
bigoplus bigotimes bigr bigsqcup bigstar bigtriangledown bigtriangleup biguplus bigvee bigwedge
binom blacklozenge blacksquare blacktriangle blacktriangledown blacktriangleleft
blacktriangleright bmod boldsymbol bot bowtie boxdot boxed boxminus boxplus boxtimes brace brack
breve bullet bumpeq cal cap cdot cdotp cdots centerdot cfrac check checkmark chi choose circ
circeq circlearrowleft circlearrowright circledR circledS circledast circledcirc circleddash cline
clubsuit colon color colorbox complement cong coprod copyright cos cosh cot coth csc cup
curlyeqprec curlyeqsucc curlyvee curlywedge curvearrowleft curvearrowright dag dagger daleth
dasharrow dashleftarrow dashrightarrow dashv dbinom ddag ddagger ddddot dddot ddot ddots deg delta
det dfrac diagdown diagup diamond diamondsuit digamma dim displaylimits displaystyle div
divideontimes dot doteq doteqdot dotplus dots dotsb dotsc dotsi dotsm dotso doublebarwedge
doublecap doublecup downarrow downdownarrows downharpoonleft downharpoonright ell emph emptyset
end enspace epsilon eqcirc eqsim eqslantgtr eqslantless equiv eta eth euro exists exp
fallingdotseq fbox fcolorbox flat forall frac frown gamma gcd ge genfrac geq geqq geqslant gets gg
ggg gggtr gimel gnapprox gneq gneqq gnsim grave gt gtrapprox gtrdot gtreqless gtreqqless gtrless
gtrsim gvertneqq hat hbar hdotsfor heartsuit hfill hline hom hookleftarrow hookrightarrow hphantom
hskip hslash hspace huge idotsint iff iiiint iiint iint imath impliedby implies in inf infty
injlim int intercal intertext iota it jmath kappa ker kern lVert lambda land langle large lbrace
lbrack lceil ldotp ldots le leadsto left leftarrow leftarrowtail leftharpoondown leftharpoonup
leftleftarrows leftrightarrow leftrightarrows leftrightharpoons leftrightsquigarrow leftthreetimes
leq leqq leqslant lessapprox lessdot lesseqgtr lesseqqgtr lessgtr lesssim lfloor lg lgroup lhd lim
liminf limits limsup ll llcorner lll llless lmoustache ln lnapprox lneq lneqq lnot lnsim log
longleftarrow longleftrightarrow longmapsto longrightarrow looparrowleft looparrowright lor
lozenge lrcorner lt ltimes lvert lvertneqq maltese mapsto mathbb mathbf mathbin mathcal mathclose
mathfrak mathinner mathit mathnormal mathop mathopen mathord mathpunct mathrel mathring mathrm
mathscr mathsf mathstrut mathtt max mbox measuredangle medspace mho mid middle min mkern mod
models mp mspace mu multicolumn multimap nLeftarrow nLeftrightarrow nRightarrow nVDash nVdash
nabla natural ncong ne nearrow neg negmedspace negthickspace negthinspace neq newline nexists ngeq
ngeqq ngeqslant ngtr ni nleftarrow nleftrightarrow nleq nleqq nleqslant nless nmid nobreakspace
nolimits nonumber normalsize not notag notin nparallel nprec npreceq nrightarrow nshortmid
nshortparallel nsim nsubseteq nsubseteqq nsucc nsucceq nsupseteq nsupseteqq ntriangleleft
ntrianglelefteq ntriangleright ntrianglerighteq nu nvDash nvdash nwarrow odot oiint oint omega
ominus operatorname oplus oslash otimes over overbrace overbracket overleftarrow
overleftrightarrow overline overparen overrightarrow overset owns parallel partial perp phantom
phi pi pitchfork pm pmod pod pounds prec precapprox preccurlyeq preceq precnapprox precneqq
precnsim precsim prime prod projlim propto psi qquad quad rVert rangle rbrace rbrack rceil
restriction rfloor rgroup rhd rho right rightarrow rightarrowtail rightharpoondown rightharpoonup
rightleftarrows rightleftharpoons rightrightarrows rightsquigarrow rightthreetimes risingdotseq rm
rmoustache root rtimes rvert scriptscriptstyle scriptsize scriptstyle searrow sec setminus sf
sharp shortmid shortparallel shoveleft shoveright sideset sigma sim simeq sin sinh small
smallfrown smallint smallsetminus smallsmile smash smile space spadesuit sphericalangle sqcap
sqcup sqrt sqsubset sqsubseteq sqsupset sqsupseteq square stackrel star strut subset subseteq
subseteqq subsetneq subsetneqq substack succ succapprox succcurlyeq succeq succnapprox succneqq
succnsim succsim sum sup supset supseteq supseteqq supsetneq supsetneqq surd swarrow tag tan tanh
tau tbinom text textbf textcolor textit textnormal textrm textsf textstyle texttt tfrac therefore
theta thickapprox thicksim thickspace thinspace tilde times tiny to top triangle triangledown
triangleleft trianglelefteq triangleq triangleright trianglerighteq tt twoheadleftarrow
twoheadrightarrow ulcorner underbrace underbracket underleftarrow underleftrightarrow underline
underparen underrightarrow underset unlhd unrhd uparrow updownarrow upharpoonleft upharpoonright
uplus upsilon upuparrows urcorner vDash varDelta varGamma varLambda varOmega varPhi varPi varPsi
varSigma varTheta varUpsilon varXi varbigtriangledown varbigtriangleup varepsilon varinjlim
varkappa varliminf varlimsup varnothing varphi varpi varprojlim varpropto varrho varsigma
varsubsetneq varsubsetneqq varsupsetneq varsupsetneqq vartheta vartriangle vartriangleleft
vartriangleright vdash vdots vec vee veebar vert vphantom wedge widehat widetilde wp wr xi
xleftarrow xrightarrow yen zeta
"""

_ENVIRONMENTS = """
aligned alignedat array bmatrix Bmatrix cases gathered matrix pmatrix smallmatrix split subarray
vmatrix Vmatrix
"""

COMMANDS = frozenset(_COMMANDS.split())
ENVIRONMENTS = frozenset(_ENVIRONMENTS.split())
