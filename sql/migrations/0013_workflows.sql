-- Workflows as they are in force: what of ComfyUI may be ordered, and what agents are sent. They come from files
-- (`control_plane/orders/shelf.py`); a model that is made of workflows is sold as long as it has one.

-- The texts are JSON kept as it was encoded, since the version is its hash. `licences` are those of the files of weights, `weights` what
-- the operator's lists say of these files.
create table workflows (
    name text primary key check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    kind text not null,
    model text not null,
    task text not null,
    version text not null check (version ~ '^[0-9a-f]{64}$'),
    manifest text not null,
    graph text not null,
    licences text not null default '[]',
    weights text not null default '[]',
    published_at timestamptz not null default now(),
    withdrawn_at timestamptz,
    foreign key (model, kind) references models (name, kind)
);
create unique index workflows_one_for_a_task on workflows (model, kind, task) where withdrawn_at is null;

-- `task`: what an order that leaves everything out is for; where it is set, each task has a lane of its own, because a
-- worker may be able to do one and not the other. Empty: whoever serves the model serves all its tasks, in one lane.
alter table models add column task text not null default '';
alter table models drop constraint tasks_of_its_kind,
    add constraint tasks_of_its_kind check (tasks <@ case kind
        when 'image' then array['text-to-image', 'image-to-image', 'inpaint', 'upscale']
        else array['text-to-video', 'image-to-video'] end);
alter table lanes
    add column task text not null default '',
    drop constraint lanes_kind_model_vram_gib_sandbox_key,
    add unique (kind, model, vram_gib, sandbox, task);

grant select, insert, update on workflows to tessera_app;
