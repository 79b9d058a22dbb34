-- What the tracker needs to know, and what it counts. The Postgres twin of this file has the same tables and columns.
--
-- Times are unix seconds. Byte counts stop at 2^63 - 1. Words (status, role, kind) are checked by the program, which
-- is the only one to write here.

create table users (
    -- autoincrement: a number is never given twice, so an old token can't come to mean another member.
    id integer primary key autoincrement,
    username text not null,
    -- The lower-cased name: Ann and ann are one member.
    username_key text not null unique,
    email text,
    email_key text unique,
    -- Null: no password yet, so no way in.
    password_hash text,
    class text not null default 'newbie',
    role text not null,
    status text not null default 'active',
    -- Only for members brought over from another tracker; the others have tokens.
    passkey blob unique,
    -- Bytes that the tracker counted, before any multiplier.
    uploaded integer not null default 0,
    downloaded integer not null default 0,
    created_at integer not null
) strict;

create table torrents (
    id integer primary key autoincrement,
    -- What clients announce: SHA-1, or for a v2-only torrent the shortened SHA-256.
    info_hash blob not null unique,
    -- A hybrid's other hash.
    info_hash_v2 blob unique,
    name text not null,
    size integer not null,
    piece_length integer not null,
    file_count integer not null,
    private integer not null,
    status text not null,
    uploader_id integer references users (id),
    completed integer not null default 0,
    uploaded integer not null default 0,
    downloaded integer not null default 0,
    seeders integer not null default 0,
    leechers integer not null default 0,
    created_at integer not null
) strict;

create table torrent_files (
    torrent_id integer not null references torrents (id),
    position integer not null,
    path text not null,
    length integer not null,
    primary key (torrent_id, position)
) strict, without rowid;

-- Apart from torrents, so that lists of them don't page over the files.
create table torrent_metainfo (
    torrent_id integer primary key references torrents (id),
    file blob not null
) strict;

create table tokens (
    id integer primary key autoincrement,
    user_id integer not null references users (id),
    label text not null,
    torrent_id integer references torrents (id),
    created_at integer not null,
    expires_at integer,
    revoked_at integer
) strict;

create index tokens_revoked
    on tokens (id)
    where revoked_at is not null;

create table invites (
    code text primary key,
    created_by integer references users (id),
    created_at integer not null,
    used_by integer references users (id),
    used_at integer,
    expires_at integer,
    revoked_at integer
) strict;

-- No foreign keys here and on snatches: a batch of thousands checks its users and torrents once, not row by row.
create table sessions (
    user_id integer not null,
    torrent_id integer not null,
    peer_id blob not null,
    -- The baseline: where counted growth ends.
    uploaded integer not null,
    downloaded integer not null,
    -- Counters beside the baseline: 0 none; they fell without a word, 1 once, 2 and came again unchanged; 3 the last ones
    -- before `started` began it anew.
    suspect integer not null default 0,
    suspect_uploaded integer not null default 0,
    suspect_downloaded integer not null default 0,
    -- Whose journal the last announce came from: another's is compared with announced_at.
    written_by integer not null,
    -- All the growth this session was ever credited with.
    credited_uploaded integer not null,
    credited_downloaded integer not null,
    bytes_left integer not null,
    role text not null,
    -- Compact: the address, then two bytes of port.
    endpoint4 blob,
    endpoint6 blob,
    started_at integer not null,
    announced_at integer not null,
    -- Still in its swarm.
    active integer not null,
    primary key (user_id, torrent_id, peer_id)
) strict, without rowid;

-- What a restart loads. Not on announced_at: that changes with every announce, and would move the entry each time.
create index sessions_active
    on sessions (user_id, torrent_id, peer_id)
    where active;

create table snatches (
    user_id integer not null,
    torrent_id integer not null,
    completed_at integer not null,
    primary key (user_id, torrent_id)
) strict, without rowid;

-- What the trackers have to read again, in the order in which it was committed.
create table changes (
    id integer primary key,
    kind text not null,
    subject integer not null,
    created_at integer not null
) strict;

-- The last change's number. A writer takes the next one before anything else in its transaction.
create table change_counter (
    only_row integer primary key check (only_row = 1),
    value integer not null
) strict;

insert into change_counter (only_row, value)
values (1, 0);

-- How far each journal has been applied; and, as `token_key`, the fingerprint of the key that signs the tokens.
create table marks (
    name text primary key,
    value integer not null
) strict;

-- Announces that couldn't be applied, for somebody to look at. Counters are cumulative: if the session's row in
-- `sessions` has come past these since, their growth has been credited after all; and a session's next row here counts
-- the growth of the one before in.
create table set_aside (
    id integer primary key,
    -- Their records are in this journal, after the one position and up to the other.
    journal text not null,
    position_from integer not null,
    position_to integer not null,
    user_id integer not null,
    torrent_id integer not null,
    peer_id blob not null,
    -- As last reported.
    uploaded integer not null,
    downloaded integer not null,
    bytes_left integer not null,
    -- What they would have been credited with. Null: can't be told.
    growth_uploaded integer,
    growth_downloaded integer,
    announced_at integer not null,
    -- When the download was finished, if it was: a snatch that may be missing.
    completed_at integer,
    reason text not null,
    created_at integer not null
) strict;
