-- What admins rule, and what members are told. The Postgres twin of this file has the same tables and columns.

-- Networks that may not announce.
create table ip_blocks (
    id integer primary key autoincrement,
    -- As `192.0.2.0/24`: one network has one text.
    cidr text not null unique,
    reason text not null,
    created_by integer not null references users (id),
    created_at integer not null,
    expires_at integer
) strict;

-- Torrent clients that may or may not announce. Empty texts fit all.
create table client_rules (
    id integer primary key autoincrement,
    peer_id_prefix text not null,
    user_agent text not null,
    action text not null,
    starts_at integer,
    reason text not null,
    created_by integer not null references users (id),
    created_at integer not null,
    constraint client_rules_client unique (peer_id_prefix, user_agent)
) strict;

-- What members are told, in the transaction of what it is about.
create table notifications (
    id integer primary key autoincrement,
    user_id integer not null references users (id),
    kind text not null,
    message text not null,
    created_at integer not null,
    read_at integer
) strict;

create index notifications_user
    on notifications (user_id, id);

-- What admins set while the program ran: each goes before the configuration's own.
create table settings (
    name text primary key,
    -- As JSON.
    value text not null,
    changed_by integer not null references users (id),
    changed_at integer not null
) strict;
