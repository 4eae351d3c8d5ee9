"""An app for OMERO.web: each user sees what became of the files that the user dropped.

Rule: it has no way to DropBox but OMERO.  It reads the document that DropBox keeps for each user,
and writes requests there, all in the session of who is logged in.

``views`` answers the browser.  ``page`` puts a document into the words of the page, ``rows`` draws
what is imported, and ``overview`` has all users for administrators.  ``older`` asks OMERO for
earlier imports, ``places`` says in which dataset an image is, and ``receipt`` lists what OMERO has.
``origin`` tells where an image came from, in the tab beside it.  ``services`` asks OMERO for each
of its services once.  ``urls`` and ``settings`` are what OMERO.web looks for in an app.
"""
