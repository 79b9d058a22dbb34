-- What the tracker needs to know, and what it counts. The SQLite twin of this file has the same tables and columns.
--
-- Times are unix seconds. Byte counts stop at 2^63 - 1. Words (status, role, kind) are checked by the program, which
-- is the only one to write here.

create table users (
    id bigint generated always as identity primary key,
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
    passkey bytea unique,
    -- Bytes that the tracker counted, before any multiplier.
    uploaded bigint not null default 0,
    downloaded bigint not null default 0,
    created_at bigint not null
) with (fillfactor = 70);

create table torrents (
    id bigint generated always as identity primary key,
    -- What clients announce: SHA-1, or for a v2-only torrent the shortened SHA-256.
    info_hash bytea not null unique,
    -- A hybrid's other hash.
    info_hash_v2 bytea unique,
    name text not null,
    size bigint not null,
    piece_length bigint not null,
    file_count bigint not null,
    private boolean not null,
    status text not null,
    uploader_id bigint references users (id),
    completed bigint not null default 0,
    uploaded bigint not null default 0,
    downloaded bigint not null default 0,
    seeders bigint not null default 0,
    leechers bigint not null default 0,
    created_at bigint not null
) with (fillfactor = 70);

create table torrent_files (
    torrent_id bigint not null references torrents (id),
    position bigint not null,
    path text not null,
    length bigint not null,
    primary key (torrent_id, position)
);

-- Apart from torrents, so that lists of them don't page over the files.
create table torrent_metainfo (
    torrent_id bigint primary key references torrents (id),
    file bytea not null
);

create table tokens (
    id bigint generated always as identity primary key,
    user_id bigint not null references users (id),
    label text not null,
    torrent_id bigint references torrents (id),
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint
);

create index tokens_revoked
    on tokens (id)
    where revoked_at is not null;

create table invites (
    code text primary key,
    created_by bigint references users (id),
    created_at bigint not null,
    used_by bigint references users (id),
    used_at bigint,
    expires_at bigint,
    revoked_at bigint
);

-- No foreign keys here and on snatches: a batch of thousands checks its users and torrents once, not row by row.
-- fillfactor: room on the page for the next version of a row, so that an announce touches no index (HOT).
create table sessions (
    user_id bigint not null,
    torrent_id bigint not null,
    -- The baseline: where counted growth ends.
    uploaded bigint not null,
    downloaded bigint not null,
    -- All the growth this session was ever credited with.
    credited_uploaded bigint not null,
    credited_downloaded bigint not null,
    bytes_left bigint not null,
    started_at bigint not null,
    announced_at bigint not null,
    -- Counters beside the baseline: 0 none; they fell without a word, 1 once, 2 and came again unchanged; 3 the last ones
    -- before `started` began it anew.
    suspect bigint not null default 0,
    suspect_uploaded bigint not null default 0,
    suspect_downloaded bigint not null default 0,
    -- Whose journal the last announce came from: another's is compared with announced_at.
    written_by bigint not null,
    -- Still in its swarm.
    active boolean not null,
    peer_id bytea not null,
    role text not null,
    -- Compact: the address, then two bytes of port.
    endpoint4 bytea,
    endpoint6 bytea,
    primary key (user_id, torrent_id, peer_id)
) with (fillfactor = 70);

-- What a restart loads. Not on announced_at: that changes with every announce, and none of those would be HOT.
create index sessions_active
    on sessions (user_id, torrent_id, peer_id)
    where active;

create table snatches (
    user_id bigint not null,
    torrent_id bigint not null,
    completed_at bigint not null,
    primary key (user_id, torrent_id)
);

-- What the trackers have to read again, in the order in which it was committed.
create table changes (
    id bigint primary key,
    kind text not null,
    subject bigint not null,
    created_at bigint not null
);

-- The last change's number. A writer takes the next one before anything else in its transaction: the row's lock makes
-- the numbers commit in order, which a sequence's wouldn't, so that a follower never skips a late one.
create table change_counter (
    only_row bigint primary key check (only_row = 1),
    value bigint not null
);

insert into change_counter (only_row, value)
values (1, 0);

-- How far each journal has been applied; and, as `token_key`, the fingerprint of the key that signs the tokens.
create table marks (
    name text primary key,
    value bigint not null
);

-- Announces that couldn't be applied, for somebody to look at. Counters are cumulative: if the session's row in
-- `sessions` has come past these since, their growth has been credited after all; and a session's next row here counts
-- the growth of the one before in.
create table set_aside (
    id bigint generated always as identity primary key,
    -- Their records are in this journal, after the one position and up to the other.
    journal text not null,
    position_from bigint not null,
    position_to bigint not null,
    user_id bigint not null,
    torrent_id bigint not null,
    peer_id bytea not null,
    -- As last reported.
    uploaded bigint not null,
    downloaded bigint not null,
    bytes_left bigint not null,
    -- What they would have been credited with. Null: can't be told.
    growth_uploaded bigint,
    growth_downloaded bigint,
    announced_at bigint not null,
    -- When the download was finished, if it was: a snatch that may be missing.
    completed_at bigint,
    reason text not null,
    created_at bigint not null
);
