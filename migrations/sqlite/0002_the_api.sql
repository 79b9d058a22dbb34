-- What the API keeps. The Postgres twin of this file has the same tables and columns.

alter table users
    add column invited_by integer references users (id);

-- Codes that a member may still give out.
alter table users
    add column invites integer not null default 0;

-- The sum of the member's credit entries, always.
alter table users
    add column credits_milli integer not null default 0;

create index users_invited_by
    on users (invited_by, id)
    where invited_by is not null;

-- With a number, for pages of them; and with what each took from its maker's allowance, which comes back when the code
-- is revoked.
create table numbered_invites (
    id integer primary key autoincrement,
    code text not null unique,
    created_by integer references users (id),
    created_at integer not null,
    used_by integer references users (id),
    used_at integer,
    expires_at integer,
    revoked_at integer,
    cost integer not null default 0
) strict;

insert into numbered_invites (code, created_by, created_at, used_by, used_at, expires_at, revoked_at)
select code, created_by, created_at, used_by, used_at, expires_at, revoked_at
from invites
order by created_at, code;

drop table invites;

alter table numbered_invites
    rename to invites;

create index invites_created_by
    on invites (created_by, id)
    where created_by is not null;

-- A login, on one device: the family of refresh tokens that follow from it, each the next generation. An older one that
-- comes again was stolen, or its successor was.
create table logins (
    id integer primary key autoincrement,
    user_id integer not null references users (id),
    generation integer not null default 0,
    created_at integer not null,
    expires_at integer not null,
    revoked_at integer
) strict;

create index logins_user
    on logins (user_id, id);

-- Bots' keys: the secret part isn't here, its digest is.
create table api_keys (
    id integer primary key autoincrement,
    user_id integer not null references users (id),
    label text not null,
    digest blob not null,
    -- Words with a space between.
    scopes text not null,
    created_at integer not null,
    expires_at integer,
    revoked_at integer
) strict;

create index api_keys_user
    on api_keys (user_id, id);

create index tokens_user
    on tokens (user_id, id);

-- The one in the .torrent that a member downloaded before.
create index tokens_torrent
    on tokens (torrent_id, user_id)
    where torrent_id is not null;

-- Never changed, never deleted: a member's balance is their last entry's.
create table credit_entries (
    id integer primary key autoincrement,
    user_id integer not null references users (id),
    kind text not null,
    amount_milli integer not null,
    balance_milli integer not null,
    torrent_id integer references torrents (id),
    -- Who gave or took it, where somebody did.
    actor_id integer references users (id),
    note text not null,
    created_at integer not null
) strict;

create index credit_entries_user
    on credit_entries (user_id, id);

-- What staff and members changed, by whom.
create table audit_entries (
    id integer primary key autoincrement,
    -- Null: the operator at the command line.
    actor_id integer references users (id),
    action text not null,
    subject text not null,
    detail text not null,
    created_at integer not null
) strict;

-- Answers to requests that had an Idempotency-Key, so that the same one gets the same.
create table idempotency_keys (
    user_id integer not null references users (id),
    idempotency_key text not null,
    -- Of method, path and body: the same key with another request is a mistake.
    request_digest blob not null,
    -- Null: it isn't answered yet.
    status integer,
    answer blob,
    created_at integer not null,
    primary key (user_id, idempotency_key)
) strict, without rowid;

create index idempotency_keys_age
    on idempotency_keys (created_at);

alter table torrents
    add column category text not null default 'other';

alter table torrents
    add column description text not null default '';

-- Gone from every list, refused by the tracker. The row stays: what members did there is in their accounts.
alter table torrents
    add column deleted_at integer;

-- Lists go by number, by size, by seeders or by snatches; a category narrows them. Torrents that aren't open are few, and
-- are in them too: staff see them, and whoever brought one.
create index torrents_by_category
    on torrents (category, id)
    where deleted_at is null;

create index torrents_by_size
    on torrents (size, id)
    where deleted_at is null;

create index torrents_by_seeders
    on torrents (seeders, id)
    where deleted_at is null;

create index torrents_by_completed
    on torrents (completed, id)
    where deleted_at is null;

-- The popular ones.
create index torrents_by_peers
    on torrents ((seeders + leechers), id)
    where status = 'open' and deleted_at is null;

create index torrents_awaiting
    on torrents (status, id)
    where status <> 'open' and deleted_at is null;

create index torrents_uploader
    on torrents (uploader_id, id)
    where uploader_id is not null;

-- Words of names. Its own copy of nothing: the text is read from torrents.
create virtual table torrents_search using fts5 (
    name,
    content = 'torrents',
    content_rowid = 'id',
    tokenize = "unicode61 remove_diacritics 2"
);

insert into torrents_search (rowid, name)
select id, name
from torrents;

create trigger torrents_search_insert after insert on torrents begin
    insert into torrents_search (rowid, name)
    values (new.id, new.name);
end;

create trigger torrents_search_update after update of name on torrents begin
    insert into torrents_search (torrents_search, rowid, name)
    values ('delete', old.id, old.name);
    insert into torrents_search (rowid, name)
    values (new.id, new.name);
end;
