"""What the index of a set promises, for formats whose readers do not check that.

Rule: it promises no name that it cannot derive with certainty.  Whatever an index multiplies out
is counted before, and what is more than any real set has is refused.

Bio-Formats opens a MetaMorph series that lacks a plane, a plate that lacks an image, and a slide
of which only the overview is there.  An index also says whether it is whole itself: a program
that acquires writes the end of it last.

``table`` has the formats, ``said`` what an index says.  ``jsons``, ``xmls``, ``inis``, ``text`` and
``binaries`` read them, a class or a function for each format.
"""
