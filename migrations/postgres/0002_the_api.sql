-- What the API keeps. The SQLite twin of this file has the same tables and columns.

alter table users
    add column invited_by bigint references users (id);

-- Codes that a member may still give out.
alter table users
    add column invites bigint not null default 0;

-- The sum of the member's credit entries, always.
alter table users
    add column credits_milli bigint not null default 0;

-- In the order of its bytes, as SQLite has it: so a prefix is a stretch of the index, whatever the database's language.
alter table users
    alter column username_key type text collate "C";

create index users_invited_by
    on users (invited_by, id)
    where invited_by is not null;

-- With a number, for pages of them; and with what each took from its maker's allowance, which comes back when the code
-- is revoked.
alter table invites
    add column id bigint generated always as identity;

alter table invites
    drop constraint invites_pkey,
    add primary key (id),
    add unique (code);

alter table invites
    add column cost bigint not null default 0;

create index invites_created_by
    on invites (created_by, id)
    where created_by is not null;

-- A login, on one device: the family of refresh tokens that follow from it, each the next generation. An older one that
-- comes again was stolen, or its successor was.
create table logins (
    id bigint generated always as identity primary key,
    user_id bigint not null references users (id),
    generation bigint not null default 0,
    created_at bigint not null,
    expires_at bigint not null,
    revoked_at bigint
);

create index logins_user
    on logins (user_id, id);

-- Bots' keys: the secret part isn't here, its digest is.
create table api_keys (
    id bigint generated always as identity primary key,
    user_id bigint not null references users (id),
    label text not null,
    digest bytea not null,
    -- Words with a space between.
    scopes text not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint
);

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
    id bigint generated always as identity primary key,
    user_id bigint not null references users (id),
    kind text not null,
    amount_milli bigint not null,
    balance_milli bigint not null,
    torrent_id bigint references torrents (id),
    -- Who gave or took it, where somebody did.
    actor_id bigint references users (id),
    note text not null,
    created_at bigint not null
);

create index credit_entries_user
    on credit_entries (user_id, id);

-- What staff and members changed, by whom.
create table audit_entries (
    id bigint generated always as identity primary key,
    -- Null: the operator at the command line.
    actor_id bigint references users (id),
    action text not null,
    subject text not null,
    detail text not null,
    created_at bigint not null
);

-- Answers to requests that had an Idempotency-Key, so that the same one gets the same.
create table idempotency_keys (
    user_id bigint not null references users (id),
    idempotency_key text not null,
    -- Of method, path and body: the same key with another request is a mistake.
    request_digest bytea not null,
    -- Null: it isn't answered yet.
    status bigint,
    answer bytea,
    created_at bigint not null,
    primary key (user_id, idempotency_key)
);

create index idempotency_keys_age
    on idempotency_keys (created_at);

alter table torrents
    add column category text not null default 'other';

alter table torrents
    add column description text not null default '';

-- Gone from every list, refused by the tracker. The row stays: what members did there is in their accounts.
alter table torrents
    add column deleted_at bigint;

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

-- Words of names. Dots and underscores stand between words in names of releases; Postgres would read a host's name.
alter table torrents
    add column search tsvector generated always as (
        to_tsvector('simple'::regconfig, translate(name, '._-+/[]()', '          '))) stored;

create index torrents_search
    on torrents using gin (search)
    where deleted_at is null;
