-- In which languages a model reads prompts (ISO 639), the best one first. What is built in reads English.

alter table models add column languages text[] not null default '{en}' check (languages <> '{}');
