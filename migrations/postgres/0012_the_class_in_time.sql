-- Traffic counts for the class that its member had when it was moved. The SQLite twin of this file has the same tables and
-- columns.

-- When a member's class changed, and from what.
create table class_changes (
    user_id bigint not null references users (id),
    -- The first second of the class after it.
    at bigint not null,
    class_before text not null,
    primary key (user_id, at)
);

-- Most are long past.
create index class_changes_at
    on class_changes (at);

-- The last of them. A batch that doesn't know of it takes the wrong class, and finds out here.
alter table users
    add column class_changed_at bigint not null default 0;

-- The first hour (since 1970) with traffic that no settlement has seen; null: there is none. And the last with any. In the
-- member's row, which a batch changes anyway, the two cost nothing; a mark on each row of traffic cost an index.
alter table users
    add column unsettled_since bigint;
alter table users
    add column traffic_until bigint;

update users
set unsettled_since = (select min(hour) from traffic where is_news and traffic.user_id = users.id),
    traffic_until = (select max(hour) from traffic where is_news and traffic.user_id = users.id);

-- The hour first: what is written is near to what was written just now, and what is old goes in one piece.
create table traffic_by_class (
    hour bigint not null,
    user_id bigint not null,
    torrent_id bigint not null,
    -- The member's at that time.
    class text not null,
    uploaded bigint not null,
    downloaded bigint not null,
    counted_uploaded bigint not null,
    counted_downloaded bigint not null,
    primary key (hour, user_id, torrent_id, class)
) with (fillfactor = 80);

insert into traffic_by_class
select hour, user_id, torrent_id, users.class, traffic.uploaded, traffic.downloaded, counted_uploaded, counted_downloaded
from traffic
join users on users.id = traffic.user_id;

drop table traffic;
alter table traffic_by_class rename to traffic;

-- A member's hour has a settlement for each class that they had in it.
create table settlements_by_class (
    user_id bigint not null,
    hour bigint not null,
    class text not null,
    counted_uploaded bigint not null,
    counted_downloaded bigint not null,
    earned_milli bigint not null,
    cost_milli bigint not null,
    owed_milli bigint not null,
    upload_milli_per_gib bigint not null,
    download_milli_per_gib bigint not null,
    multiplier_milli bigint not null,
    class_upload_percent bigint not null,
    primary key (hour, user_id, class)
);

insert into settlements_by_class
select user_id, hour, users.class, counted_uploaded, counted_downloaded, earned_milli, cost_milli, owed_milli,
    upload_milli_per_gib, download_milli_per_gib, multiplier_milli, class_upload_percent
from settlements
join users on users.id = settlements.user_id;

drop table settlements;
alter table settlements_by_class rename to settlements;

create index settlements_owed
    on settlements (user_id, hour)
    where owed_milli > 0;
