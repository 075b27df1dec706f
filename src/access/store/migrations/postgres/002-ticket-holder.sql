-- Tickets live for seconds: those that are open are made anew.
DELETE FROM access_tickets;
ALTER TABLE access_tickets ADD COLUMN holder TEXT NOT NULL DEFAULT '';
DROP INDEX access_tickets_principal;
CREATE INDEX access_tickets_holder ON access_tickets (holder);
