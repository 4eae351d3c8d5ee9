-- A journal as the first version wrote it.
BEGIN TRANSACTION;
CREATE TABLE event (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	fileset INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	"before" TEXT NOT NULL, 
	"after" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	FOREIGN KEY(fileset) REFERENCES fileset (id) ON DELETE CASCADE
);
INSERT INTO "event" VALUES(1,1,1010.0,'','imported','');
INSERT INTO "event" VALUES(2,2,1001.0,'','waiting','');
CREATE TABLE file (
	fileset INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	device BIGINT NOT NULL, 
	inode BIGINT NOT NULL, 
	size BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	ctime_ns BIGINT NOT NULL, 
	sha1 TEXT, 
	PRIMARY KEY (fileset, position), 
	FOREIGN KEY(fileset) REFERENCES fileset (id) ON DELETE CASCADE
);
INSERT INTO "file" VALUES(1,0,'/dropbox/amy/a.tif',1,7,10,5,1,'ab');
INSERT INTO "file" VALUES(2,0,'/dropbox/zak/b.tif',1,8,10,5,1,NULL);
CREATE TABLE fileset (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	user TEXT NOT NULL, 
	root TEXT NOT NULL, 
	path TEXT NOT NULL, 
	state TEXT NOT NULL CHECK (state IN ('waiting', 'queued', 'importing', 'imported', 'skipped', 'failed')), 
	reason TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	refusals INTEGER NOT NULL, 
	verified INTEGER NOT NULL, 
	server_fileset BIGINT, 
	images TEXT NOT NULL, 
	created FLOAT NOT NULL, 
	changed FLOAT NOT NULL
);
INSERT INTO "fileset" VALUES(1,'amy','/dropbox/amy','/dropbox/amy/a.tif','imported','','dropbox',1,0,1,41,'5,6',1000.0,1010.0);
INSERT INTO "fileset" VALUES(2,'zak','/dropbox/zak','/dropbox/zak/b.tif','waiting','','dropbox',0,0,0,NULL,'',1001.0,1001.0);
CREATE TABLE lease (
	id INTEGER NOT NULL CHECK (id = 1), 
	holder TEXT NOT NULL, 
	count BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('version','1');
CREATE UNIQUE INDEX fileset_in_omero ON fileset (server_fileset);
CREATE INDEX fileset_by_path ON fileset (path);
CREATE UNIQUE INDEX fileset_open ON fileset (path) WHERE state IN ('waiting', 'queued', 'importing');
CREATE INDEX fileset_by_state ON fileset (state, user, id);
CREATE TRIGGER fileset_transition BEFORE UPDATE OF state ON fileset WHEN NEW.state <> OLD.state AND NOT ((OLD.state = 'waiting' AND NEW.state IN ('queued', 'skipped', 'failed')) OR (OLD.state = 'queued' AND NEW.state IN ('importing', 'waiting', 'skipped', 'failed')) OR (OLD.state = 'importing' AND NEW.state IN ('imported', 'failed', 'queued', 'waiting', 'skipped')) OR (OLD.state = 'skipped' AND NEW.state IN ('waiting', 'queued')) OR (OLD.state = 'failed' AND NEW.state IN ('waiting', 'queued', 'skipped'))) BEGIN SELECT RAISE(ABORT, 'illegal transition of a fileset'); END;
CREATE INDEX file_by_size ON file (size);
CREATE INDEX file_by_sha1 ON file (sha1);
CREATE INDEX file_by_inode ON file (inode, device);
CREATE INDEX ix_event_fileset ON event (fileset);
CREATE TRIGGER fileset_insert_told AFTER INSERT ON fileset BEGIN INSERT INTO event (fileset, at, before, after, reason) VALUES (NEW.id, NEW.changed, '', NEW.state, NEW.reason); END;
CREATE TRIGGER fileset_update_told AFTER UPDATE OF state, reason ON fileset BEGIN INSERT INTO event (fileset, at, before, after, reason) VALUES (NEW.id, NEW.changed, OLD.state, NEW.state, NEW.reason); END;
COMMIT;
