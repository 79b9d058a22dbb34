-- What credit buys. The Postgres twin of this file has the same tables and columns.

-- Freeleech for one member in one torrent, for a time. Never changed: what traffic counts follows from it.
create table freeleech_tokens (
    user_id integer not null references users (id),
    torrent_id integer not null references torrents (id),
    starts_at integer not null,
    -- The first second in which it no longer holds.
    ends_at integer not null,
    primary key (user_id, torrent_id, starts_at)
) strict, without rowid;

-- Most have ended: whether any hasn't, and which of a member's haven't.
create index freeleech_tokens_end
    on freeleech_tokens (ends_at);

create index freeleech_tokens_user
    on freeleech_tokens (user_id, ends_at);

-- When it was settled in the shop.
alter table snatches
    add column settled_at integer;

-- Which of a member's may still ask for something.
create index snatches_unsettled
    on snatches (user_id, completed_at)
    where settled_at is null;
