-- What a run took from the GPU, as its agent has measured it. Null: not measured, or not enough of it; never a guess.
-- It is written just before the attempt ends, beside what its results were made with.

alter table attempts add column joules real check (joules >= 0 and joules < 'infinity');
