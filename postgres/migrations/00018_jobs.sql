-- A job of a chunk names 200 deliveries. River's index of all that stands in
-- the arguments of jobs, which nobody asks, had an entry for each of them,
-- written anew with every change of the job's state.

-- +goose Up
DROP INDEX IF EXISTS river_job_args_index;
