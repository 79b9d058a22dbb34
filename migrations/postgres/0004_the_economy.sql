-- The economy. The SQLite twin of this file has the same tables and columns.

-- When traffic counts for less or more: global, for a class, a torrent or a member.
create table policies (
    id bigint generated always as identity primary key,
    scope text not null,
    -- What it is for, as the scope says; none of them when it is global.
    class text,
    torrent_id bigint references torrents (id),
    user_id bigint references users (id),
    -- Of what a byte counts.
    download_percent bigint not null,
    upload_percent bigint not null,
    starts_at bigint not null,
    -- The first second in which it no longer holds.
    ends_at bigint,
    created_by bigint not null references users (id),
    created_at bigint not null
);

-- Most have ended.
create index policies_end
    on policies (ends_at);

create index policies_torrent
    on policies (torrent_id)
    where torrent_id is not null;

-- What a member's bytes count after policies: the whole bytes, and hundredths of one that wait for the others.
alter table users
    add column credited_uploaded bigint not null default 0;
alter table users
    add column credited_downloaded bigint not null default 0;
alter table users
    add column credited_uploaded_rest bigint not null default 0;
alter table users
    add column credited_downloaded_rest bigint not null default 0;

update users
set credited_uploaded = uploaded, credited_downloaded = downloaded;

-- How long the client seeded: between announces that came in time, from the one that said it has everything.
alter table sessions
    add column seeded_secs bigint not null default 0;

-- What a member moved in a torrent in an hour (hours since 1970), as it is announced. Counted: in hundredths of a byte, as
-- policies have it; what it is worth follows from that alone, so that whatever comes late is added and nothing twice.
create table traffic (
    user_id bigint not null,
    torrent_id bigint not null,
    hour bigint not null,
    uploaded bigint not null,
    downloaded bigint not null,
    counted_uploaded bigint not null,
    counted_downloaded bigint not null,
    -- Not in the member's entries yet.
    is_news boolean not null,
    primary key (user_id, torrent_id, hour)
) with (fillfactor = 80);

create index traffic_news
    on traffic (user_id, hour)
    where is_news;

-- What a member's traffic of an hour has been entered for.
create table settlements (
    user_id bigint not null,
    hour bigint not null,
    earned_milli bigint not null,
    cost_milli bigint not null,
    primary key (user_id, hour)
);
