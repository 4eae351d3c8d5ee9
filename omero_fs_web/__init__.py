"""An app for OMERO.web: each user sees what became of the files that the user dropped.

Rule: it has no way to DropBox but OMERO.  It reads the document that DropBox keeps for each user,
and writes requests there, all in the session of who is logged in.

``views`` answers the browser.  ``page`` puts a document into the words of the page, ``overview``
those of all users for administrators, and ``receipt`` lists what OMERO has.  ``urls`` and
``settings`` are what OMERO.web looks for in an app.
"""
