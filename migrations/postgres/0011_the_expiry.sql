-- What ends by itself. The SQLite twin of this file has the same tables and columns.

-- Freeleech tokens that were bought: held until they are used, or expire. What traffic counts follows from
-- freeleech_tokens, where each has a row once it is used.
create table bought_tokens (
    id bigint generated always as identity primary key,
    user_id bigint not null references users (id),
    -- How long it frees a torrent.
    hours bigint not null,
    bought_at bigint not null,
    -- The first second in which it can no longer be used. Null: it can for ever.
    expires_at bigint,
    -- When its member was warned that it is about to expire.
    warned_at bigint,
    -- Where it is used, and when it holds there. Null: it is held.
    torrent_id bigint references torrents (id),
    starts_at bigint,
    ends_at bigint
);

create index bought_tokens_user
    on bought_tokens (user_id, id);

-- Which are held, and expire first.
create index bought_tokens_held
    on bought_tokens (expires_at)
    where starts_at is null;

-- Until now all were used as they were bought.
insert into bought_tokens (user_id, hours, bought_at, torrent_id, starts_at, ends_at)
select user_id, (ends_at - starts_at) / 3600, starts_at, torrent_id, starts_at, ends_at
from freeleech_tokens
order by starts_at, user_id, torrent_id;

-- What sessions had that are gone, as nobody announced them for so long: how long the member seeded in them, and for a
-- snatch what they did in its torrent.
alter table users
    add column pruned_seed_secs bigint not null default 0;
alter table snatches
    add column pruned_seed_secs bigint not null default 0;
alter table snatches
    add column pruned_uploaded bigint not null default 0;

-- When its maker got back what it took from their allowance, as it had expired unused.
alter table invites
    add column given_back_at bigint;
