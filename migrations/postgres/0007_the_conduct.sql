-- What becomes of members by what they do. The SQLite twin of this file has the same tables and columns.

-- Since when their ratio is watched, and their downloads are suspended for it. Null: it is well.
alter table users
    add column ratio_watched_since bigint;
alter table users
    add column ratio_suspended_at bigint;

-- Since when they have more hit-and-runs open than they may.
alter table users
    add column hit_and_run_suspended_at bigint;

-- Since when they are below what their class asks for.
alter table users
    add column below_class_since bigint;

-- The highest class that they ever had: its invites are given once.
alter table users
    add column highest_class text not null default 'newbie';

update users
set highest_class = class;

-- When its member was warned that there is little time left to give it back.
alter table snatches
    add column warned_at bigint;
