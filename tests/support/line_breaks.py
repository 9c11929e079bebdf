"""Where a browser breaks the lines of inline code."""

from __future__ import annotations

__all__ = ["BROKEN", "OPTIONS", "WIDE"]

BROKEN = """root => [...root.querySelectorAll(':not(pre) > code')].flatMap(code => {
    const found = [], walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    let before = '', top = null;
    for (let node; (node = walker.nextNode()); ) {
        for (let i = 0; i < node.length; i += 1) {
            range.setStart(node, i);
            range.setEnd(node, i + 1);
            const box = range.getBoundingClientRect();
            if (box.width && top !== null && box.top > top + 4 && /[-\\\\]/.test(before))
                found.push(code.textContent);
            if (box.width) top = box.top;
            before = node.data[i];
        }
    }
    return found;
})"""
"""The inline code of an element that is broken after a hyphen or a backslash."""

WIDE = """root => {
    const edge = root.getBoundingClientRect().right;
    return [...root.querySelectorAll(':not(pre) > code')]
        .filter(code => code.getBoundingClientRect().right > edge + 1).length;
}"""
"""How much inline code ends beyond the right edge of an element."""

OPTIONS = r"`--concurrency`, `%aeron ask --after TURN --no-stream`, `C:\(x)\<y>-\{z}` and `a-b-c-d`"
"""Code with hyphens and backslashes, as Markdown."""
