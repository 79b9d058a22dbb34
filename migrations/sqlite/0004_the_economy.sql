-- The economy. The Postgres twin of this file has the same tables and columns.

-- When traffic counts for less or more: global, for a class, a torrent or a member.
create table policies (
    id integer primary key autoincrement,
    scope text not null,
    -- What it is for, as the scope says; none of them when it is global.
    class text,
    torrent_id integer references torrents (id),
    user_id integer references users (id),
    -- Of what a byte counts.
    download_percent integer not null,
    upload_percent integer not null,
    starts_at integer not null,
    -- The first second in which it no longer holds.
    ends_at integer,
    created_by integer not null references users (id),
    created_at integer not null
) strict;

-- Most have ended.
create index policies_end
    on policies (ends_at);

create index policies_torrent
    on policies (torrent_id)
    where torrent_id is not null;

-- What a member's bytes count after policies: the whole bytes, and hundredths of one that wait for the others.
alter table users
    add column credited_uploaded integer not null default 0;
alter table users
    add column credited_downloaded integer not null default 0;
alter table users
    add column credited_uploaded_rest integer not null default 0;
alter table users
    add column credited_downloaded_rest integer not null default 0;

update users
set credited_uploaded = uploaded, credited_downloaded = downloaded;

-- How long the client seeded: between announces that came in time, from the one that said it has everything.
alter table sessions
    add column seeded_secs integer not null default 0;

-- What a member moved in a torrent in an hour (hours since 1970), as it is announced. Counted: in hundredths of a byte, as
-- policies have it; what it is worth follows from that alone, so that whatever comes late is added and nothing twice.
create table traffic (
    user_id integer not null,
    torrent_id integer not null,
    hour integer not null,
    uploaded integer not null,
    downloaded integer not null,
    counted_uploaded integer not null,
    counted_downloaded integer not null,
    -- Not in the member's entries yet.
    is_news integer not null,
    primary key (user_id, torrent_id, hour)
) strict;

create index traffic_news
    on traffic (user_id, hour)
    where is_news;

-- What a member's traffic of an hour has been entered for.
create table settlements (
    user_id integer not null,
    hour integer not null,
    earned_milli integer not null,
    cost_milli integer not null,
    primary key (user_id, hour)
) strict;
