-- What is done now and then. The SQLite twin of this file has the same tables and columns.

-- One row for each job, so that of many processes one does it.
create table jobs (
    name text primary key,
    -- Whose it is, and until when unless they say otherwise. Null: nobody's.
    holder text,
    held_until bigint,
    -- All that was due by then is done.
    done_until bigint,
    -- The last run that ended: when it began, how long it took, and what came of it.
    started_at bigint,
    duration_ms bigint,
    outcome text,
    report text
);

-- How much of a row is in the settlement of its hour: what has come since is the difference.
alter table traffic
    add column settled_uploaded bigint not null default 0;
alter table traffic
    add column settled_downloaded bigint not null default 0;

-- Counted traffic that earned_milli and cost_milli are worth, in hundredths of a byte: the sum of what is settled in the
-- hour's traffic.
alter table settlements
    add column counted_uploaded bigint not null default 0;
alter table settlements
    add column counted_downloaded bigint not null default 0;

-- The hour's prices: those of its first settlement, for whatever comes late.
alter table settlements
    add column upload_milli_per_gib bigint not null default 0;
alter table settlements
    add column download_milli_per_gib bigint not null default 0;
alter table settlements
    add column multiplier_milli bigint not null default 0;
alter table settlements
    add column class_upload_percent bigint not null default 0;

-- What the hour costs beyond cost_milli, and the member couldn't pay yet.
alter table settlements
    add column owed_milli bigint not null default 0;

create index settlements_owed
    on settlements (user_id, hour)
    where owed_milli > 0;

-- The last hour (since 1970) for which the member has been paid for seeding.
alter table users
    add column seeding_paid_hour bigint not null default 0;
