-- The contact points that lifting a suppression, or a code that arrived, revives.

-- +goose Up
CREATE INDEX contact_points_dead ON contact_points (channel, lower(address COLLATE "C")) WHERE standing <> 'good';
