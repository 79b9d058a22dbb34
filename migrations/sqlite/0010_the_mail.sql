-- What members are told by mail. The Postgres twin of this file has the same tables and columns.

-- Whether a member wants mail.
alter table users
    add column mail integer not null default 1;

-- due: a mail server is to have it; sent: it has it; refused: it never takes it; late: it didn't take it within a day.
-- Null: it isn't mailed, as nothing is that was written before.
alter table notifications
    add column mail_state text;
-- When it came to that state, or was last tried in vain.
alter table notifications
    add column mail_at integer;

create index notifications_mail
    on notifications (mail_at)
    where mail_state = 'due';
