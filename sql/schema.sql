-- The sum of sql/migrations, written by `make snapshot` for reading; never executed.

CREATE FUNCTION public.ensure_partitions(ahead integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET lock_timeout TO '500ms'
    AS $$
declare
    missing record;
begin
    for missing in
        select parent, parent || to_char(first at time zone 'UTC', '_YYYY_MM') as name, first
        from unnest(array['attempts', 'job_events']) as parent,
            generate_series(0, least(ahead, 24)) as k,
            lateral (select date_trunc('month', now(), 'UTC') + make_interval(months => k) as first) as month
        where to_regclass(parent || to_char(first at time zone 'UTC', '_YYYY_MM')) is null
        order by first, parent
    loop
        lock table workers, jobs in share row exclusive mode;
        execute format('create table %I partition of %I for values from (%L) to (%L)',
            missing.name, missing.parent, uuid7_floor(missing.first), uuid7_floor(missing.first + interval '1 month'));
    end loop;
end
$$;

CREATE FUNCTION public.uuid7() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    SET search_path TO 'pg_catalog'
    RETURN (encode(set_bit(set_bit(OVERLAY(uuid_send(gen_random_uuid()) PLACING SUBSTRING(int8send(((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric))::bigint) FROM 3) FROM 1 FOR 6), (52)::bigint, 1), (53)::bigint, 1), 'hex'::text))::uuid;

CREATE FUNCTION public.uuid7_floor(instant timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog'
    RETURN (encode((SUBSTRING(int8send(((EXTRACT(epoch FROM instant) * (1000)::numeric))::bigint) FROM 3) || '\x70008000000000000000'::bytea), 'hex'::text))::uuid;

CREATE TABLE public.api_keys (
    id text NOT NULL,
    secret_sha256 bytea NOT NULL,
    user_id uuid,
    name text NOT NULL,
    scopes text[] NOT NULL,
    providers text[] DEFAULT '{}'::text[] NOT NULL,
    daily_cap integer,
    models text[],
    networks cidr[],
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_daily_cap_check CHECK ((daily_cap > 0)),
    CONSTRAINT api_keys_id_check CHECK ((id ~ '^[0-9a-z]{12}$'::text)),
    CONSTRAINT api_keys_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT api_keys_scopes_check CHECK ((scopes <@ ARRAY['read'::text, 'submit'::text, 'admin'::text, 'metrics'::text])),
    CONSTRAINT api_keys_secret_sha256_check CHECK ((octet_length(secret_sha256) = 32)),
    CONSTRAINT key_of_user_or_service CHECK (((user_id IS NULL) = (cardinality(providers) > 0))),
    CONSTRAINT service_is_no_admin CHECK (((user_id IS NOT NULL) OR (NOT ('admin'::text = ANY (scopes)))))
);

CREATE TABLE public.artifacts (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    index smallint NOT NULL,
    key text NOT NULL,
    mime_type text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    visibility text DEFAULT 'private'::text NOT NULL,
    legal_hold boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT artifacts_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT artifacts_bytes_check CHECK ((bytes > 0)),
    CONSTRAINT artifacts_height_check CHECK ((height > 0)),
    CONSTRAINT artifacts_index_check CHECK (((index >= 0) AND (index <= 63))),
    CONSTRAINT artifacts_key_check CHECK (((length(key) >= 1) AND (length(key) <= 200))),
    CONSTRAINT artifacts_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT artifacts_visibility_check CHECK ((visibility = ANY (ARRAY['private'::text, 'shared'::text, 'published'::text, 'quarantined'::text]))),
    CONSTRAINT artifacts_width_check CHECK ((width > 0))
);

CREATE TABLE public.attempts (
    job_id uuid NOT NULL,
    number integer NOT NULL,
    worker_id uuid NOT NULL,
    slot smallint NOT NULL,
    claim_id uuid NOT NULL,
    lease_token uuid NOT NULL,
    offered_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    outcome text,
    cause text,
    message text,
    CONSTRAINT attempts_number_check CHECK ((number > 0)),
    CONSTRAINT attempts_outcome_check CHECK ((outcome = ANY (ARRAY['succeeded'::text, 'failed'::text, 'canceled'::text, 'released'::text, 'lost'::text, 'taken_over'::text]))),
    CONSTRAINT ended_means_outcome CHECK (((ended_at IS NULL) = (outcome IS NULL)))
)
PARTITION BY RANGE (job_id);

CREATE TABLE public.attempts_default (
    job_id uuid CONSTRAINT attempts_job_id_not_null NOT NULL,
    number integer CONSTRAINT attempts_number_not_null NOT NULL,
    worker_id uuid CONSTRAINT attempts_worker_id_not_null NOT NULL,
    slot smallint CONSTRAINT attempts_slot_not_null NOT NULL,
    claim_id uuid CONSTRAINT attempts_claim_id_not_null NOT NULL,
    lease_token uuid CONSTRAINT attempts_lease_token_not_null NOT NULL,
    offered_at timestamp with time zone DEFAULT now() CONSTRAINT attempts_offered_at_not_null NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    outcome text,
    cause text,
    message text,
    CONSTRAINT attempts_number_check CHECK ((number > 0)),
    CONSTRAINT attempts_outcome_check CHECK ((outcome = ANY (ARRAY['succeeded'::text, 'failed'::text, 'canceled'::text, 'released'::text, 'lost'::text, 'taken_over'::text]))),
    CONSTRAINT ended_means_outcome CHECK (((ended_at IS NULL) = (outcome IS NULL)))
);

CREATE TABLE public.enrolment_tokens (
    id text NOT NULL,
    secret_sha256 bytea NOT NULL,
    name text,
    trust text DEFAULT 'own'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    worker_id uuid,
    CONSTRAINT enrolment_tokens_id_check CHECK ((id ~ '^[0-9a-z]{12}$'::text)),
    CONSTRAINT enrolment_tokens_secret_sha256_check CHECK ((octet_length(secret_sha256) = 32)),
    CONSTRAINT enrolment_tokens_trust_check CHECK ((trust = ANY (ARRAY['own'::text, 'guest'::text]))),
    CONSTRAINT used_means_worker CHECK (((used_at IS NULL) = (worker_id IS NULL)))
);

CREATE TABLE public.idempotency_keys (
    user_id uuid NOT NULL,
    key text NOT NULL,
    request_sha256 bytea NOT NULL,
    job_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255))),
    CONSTRAINT idempotency_keys_request_sha256_check CHECK ((octet_length(request_sha256) = 32))
);

CREATE TABLE public.identities (
    provider text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT identities_provider_check CHECK ((provider ~ '^[a-z]{1,32}$'::text)),
    CONSTRAINT identities_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 128)))
);

CREATE SEQUENCE public.job_events_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.job_events (
    job_id uuid NOT NULL,
    seq bigint DEFAULT nextval('public.job_events_seq'::regclass) NOT NULL,
    name text NOT NULL,
    attempt integer NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT job_events_name_check CHECK ((name ~ '^job\.[a-z_]+$'::text))
)
PARTITION BY RANGE (job_id);

CREATE TABLE public.job_events_default (
    job_id uuid CONSTRAINT job_events_job_id_not_null NOT NULL,
    seq bigint DEFAULT nextval('public.job_events_seq'::regclass) CONSTRAINT job_events_seq_not_null NOT NULL,
    name text CONSTRAINT job_events_name_not_null NOT NULL,
    attempt integer CONSTRAINT job_events_attempt_not_null NOT NULL,
    at timestamp with time zone DEFAULT now() CONSTRAINT job_events_at_not_null NOT NULL,
    CONSTRAINT job_events_name_check CHECK ((name ~ '^job\.[a-z_]+$'::text))
);

CREATE UNLOGGED TABLE public.job_progress (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    value real NOT NULL,
    step integer NOT NULL,
    steps integer NOT NULL,
    preview bytea,
    reported_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT job_progress_preview_check CHECK ((octet_length(preview) <= 65536))
)
WITH (fillfactor='50');

CREATE TABLE public.job_specs (
    job_id uuid NOT NULL,
    spec jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE public.jobs (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    lane_id integer NOT NULL,
    state text DEFAULT 'queued'::text NOT NULL,
    tag double precision,
    head_start double precision DEFAULT 0 NOT NULL,
    cost integer NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    failures smallint DEFAULT 0 NOT NULL,
    losses smallint DEFAULT 0 NOT NULL,
    lost_by uuid,
    worker_id uuid,
    slot smallint,
    claim_id uuid,
    lease_token uuid,
    phase text,
    lease_expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone,
    start_by timestamp with time zone,
    started_at timestamp with time zone,
    cancel_requested_at timestamp with time zone,
    finished_at timestamp with time zone,
    error_code text,
    policy_version integer DEFAULT 1 NOT NULL,
    prompt_rendered text,
    CONSTRAINT backoff_has_no_tag CHECK (((state <> 'queued'::text) OR ((tag IS NULL) = (due_at IS NOT NULL)))),
    CONSTRAINT failure_says_why CHECK (((error_code IS NOT NULL) = (state = ANY (ARRAY['failed'::text, 'expired'::text])))),
    CONSTRAINT finished_once CHECK (((finished_at IS NOT NULL) = (state = ANY (ARRAY['succeeded'::text, 'failed'::text, 'canceled'::text, 'expired'::text])))),
    CONSTRAINT jobs_attempt_check CHECK ((attempt >= 0)),
    CONSTRAINT jobs_cost_check CHECK ((cost > 0)),
    CONSTRAINT jobs_failures_check CHECK ((failures >= 0)),
    CONSTRAINT jobs_head_start_check CHECK ((head_start >= (0)::double precision)),
    CONSTRAINT jobs_losses_check CHECK ((losses >= 0)),
    CONSTRAINT jobs_phase_check CHECK ((phase = ANY (ARRAY['offered'::text, 'held'::text, 'started'::text]))),
    CONSTRAINT jobs_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'canceled'::text, 'expired'::text]))),
    CONSTRAINT lease_has_attempt CHECK (((state <> 'running'::text) OR (attempt > 0))),
    CONSTRAINT lease_is_whole CHECK ((num_nonnulls(worker_id, slot, claim_id, lease_token, phase, lease_expires_at) =
CASE state
    WHEN 'running'::text THEN 6
    ELSE 0
END))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='5000');

CREATE TABLE public.lanes (
    id integer NOT NULL,
    kind text NOT NULL,
    model text NOT NULL,
    vram_gib integer NOT NULL,
    clock double precision DEFAULT 0 NOT NULL,
    bound double precision DEFAULT '-Infinity'::double precision NOT NULL,
    tag_offset double precision DEFAULT 0 NOT NULL,
    seconds_per_token real[] DEFAULT '{}'::real[] NOT NULL,
    paused_at timestamp with time zone
)
WITH (fillfactor='50');

ALTER TABLE public.lanes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.lanes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.models (
    name text NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    "position" integer NOT NULL,
    vram_gib integer DEFAULT 0 NOT NULL,
    weight double precision DEFAULT 1 NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    pixels_max integer NOT NULL,
    steps integer NOT NULL,
    steps_max integer NOT NULL,
    guidance double precision NOT NULL,
    frames integer,
    frames_max integer,
    fps integer,
    paused_at timestamp with time zone,
    CONSTRAINT models_kind_check CHECK ((kind = ANY (ARRAY['image'::text, 'video'::text]))),
    CONSTRAINT models_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'::text)),
    CONSTRAINT models_vram_gib_check CHECK ((vram_gib >= 0)),
    CONSTRAINT models_weight_check CHECK ((weight > (0)::double precision)),
    CONSTRAINT video_has_frames CHECK (((kind = 'video'::text) = ((frames IS NOT NULL) AND (frames_max IS NOT NULL) AND (fps IS NOT NULL))))
);

CREATE TABLE public.plans (
    name text NOT NULL,
    weight double precision DEFAULT 1 NOT NULL,
    queued_max integer NOT NULL,
    retention_days integer NOT NULL,
    CONSTRAINT plans_name_check CHECK ((name ~ '^[a-z][a-z0-9_-]{0,31}$'::text)),
    CONSTRAINT plans_queued_max_check CHECK ((queued_max > 0)),
    CONSTRAINT plans_retention_days_check CHECK ((retention_days > 0)),
    CONSTRAINT plans_weight_check CHECK ((weight > (0)::double precision))
);

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.signing_keys (
    id integer NOT NULL,
    key bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT signing_keys_key_check CHECK ((octet_length(key) = 32))
);

ALTER TABLE public.signing_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.signing_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.slots (
    worker_id uuid NOT NULL,
    slot smallint NOT NULL,
    lane_ids integer[] DEFAULT '{}'::integer[] NOT NULL,
    loaded_lane_id integer,
    vram_gib integer DEFAULT 0 NOT NULL,
    healthy boolean DEFAULT true NOT NULL,
    gpu jsonb DEFAULT '{}'::jsonb NOT NULL,
    failed_jobs uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    quarantined_at timestamp with time zone,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT slots_slot_check CHECK (((slot >= 0) AND (slot <= 15)))
)
WITH (fillfactor='50');

CREATE TABLE public.switches (
    name text NOT NULL,
    paused_at timestamp with time zone,
    reason text DEFAULT ''::text NOT NULL,
    CONSTRAINT switches_name_check CHECK ((name = 'submits'::text))
);

CREATE TABLE public.users (
    id uuid DEFAULT public.uuid7() NOT NULL,
    name text NOT NULL,
    plan text DEFAULT 'free'::text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT users_name_check CHECK (((length(name) >= 1) AND (length(name) <= 128))),
    CONSTRAINT users_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'deleted'::text])))
);

CREATE TABLE public.workers (
    id uuid DEFAULT public.uuid7() NOT NULL,
    name text NOT NULL,
    secret_sha256 bytea NOT NULL,
    trust text DEFAULT 'own'::text NOT NULL,
    agent_version text DEFAULT ''::text NOT NULL,
    enrolled_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone,
    draining boolean DEFAULT false NOT NULL,
    drain_requested_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT workers_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT workers_secret_sha256_check CHECK ((octet_length(secret_sha256) = 32)),
    CONSTRAINT workers_trust_check CHECK ((trust = ANY (ARRAY['own'::text, 'guest'::text])))
)
WITH (fillfactor='70');

ALTER TABLE ONLY public.attempts ATTACH PARTITION public.attempts_default DEFAULT;

ALTER TABLE ONLY public.job_events ATTACH PARTITION public.job_events_default DEFAULT;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_key_key UNIQUE (key);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_pkey PRIMARY KEY (job_id, attempt, index);

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (job_id, number);

ALTER TABLE ONLY public.attempts_default
    ADD CONSTRAINT attempts_default_pkey PRIMARY KEY (job_id, number);

ALTER TABLE ONLY public.enrolment_tokens
    ADD CONSTRAINT enrolment_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key);

ALTER TABLE ONLY public.identities
    ADD CONSTRAINT identities_pkey PRIMARY KEY (provider, subject);

ALTER TABLE ONLY public.job_events
    ADD CONSTRAINT job_events_pkey PRIMARY KEY (job_id, seq);

ALTER TABLE ONLY public.job_events_default
    ADD CONSTRAINT job_events_default_pkey PRIMARY KEY (job_id, seq);

ALTER TABLE ONLY public.job_progress
    ADD CONSTRAINT job_progress_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY public.job_specs
    ADD CONSTRAINT job_specs_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.lanes
    ADD CONSTRAINT lanes_kind_model_vram_gib_key UNIQUE (kind, model, vram_gib);

ALTER TABLE ONLY public.lanes
    ADD CONSTRAINT lanes_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.models
    ADD CONSTRAINT models_pkey PRIMARY KEY (name, kind);

ALTER TABLE ONLY public.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.signing_keys
    ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_pkey PRIMARY KEY (worker_id, slot);

ALTER TABLE ONLY public.switches
    ADD CONSTRAINT switches_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_secret_sha256_key UNIQUE (secret_sha256);

CREATE INDEX api_keys_user ON public.api_keys USING btree (user_id);

CREATE INDEX artifacts_created ON public.artifacts USING btree (created_at);

CREATE UNIQUE INDEX attempts_one_live ON ONLY public.attempts USING btree (job_id) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX attempts_default_job_id_idx ON public.attempts_default USING btree (job_id) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX attempts_one_success ON ONLY public.attempts USING btree (job_id) WHERE (outcome = 'succeeded'::text);

CREATE UNIQUE INDEX attempts_default_job_id_idx1 ON public.attempts_default USING btree (job_id) WHERE (outcome = 'succeeded'::text);

CREATE INDEX identities_user ON public.identities USING btree (user_id);

CREATE INDEX jobs_backoff ON public.jobs USING btree (due_at) WHERE ((state = 'queued'::text) AND (due_at IS NOT NULL));

CREATE UNIQUE INDEX jobs_leased ON public.jobs USING btree (worker_id, claim_id, slot) WHERE (state = 'running'::text);

CREATE INDEX jobs_ready ON public.jobs USING btree (lane_id, tag, id) WHERE ((state = 'queued'::text) AND (tag IS NOT NULL));

CREATE INDEX jobs_start_by ON public.jobs USING btree (start_by) WHERE ((state = 'queued'::text) AND (start_by IS NOT NULL));

CREATE INDEX jobs_user ON public.jobs USING btree (user_id, id DESC);

CREATE INDEX jobs_user_queued ON public.jobs USING btree (user_id, lane_id, tag) WHERE (state = 'queued'::text);

CREATE UNIQUE INDEX users_name ON public.users USING btree (name);

ALTER INDEX public.attempts_one_live ATTACH PARTITION public.attempts_default_job_id_idx;

ALTER INDEX public.attempts_one_success ATTACH PARTITION public.attempts_default_job_id_idx1;

ALTER INDEX public.attempts_pkey ATTACH PARTITION public.attempts_default_pkey;

ALTER INDEX public.job_events_pkey ATTACH PARTITION public.job_events_default_pkey;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT artifacts_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE public.attempts
    ADD CONSTRAINT attempts_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE public.attempts
    ADD CONSTRAINT attempts_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES public.workers(id);

ALTER TABLE ONLY public.enrolment_tokens
    ADD CONSTRAINT enrolment_tokens_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES public.workers(id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.identities
    ADD CONSTRAINT identities_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE public.job_events
    ADD CONSTRAINT job_events_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE ONLY public.job_specs
    ADD CONSTRAINT job_specs_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_lane_id_fkey FOREIGN KEY (lane_id) REFERENCES public.lanes(id);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES public.workers(id);

ALTER TABLE ONLY public.lanes
    ADD CONSTRAINT lanes_model_kind_fkey FOREIGN KEY (model, kind) REFERENCES public.models(name, kind);

ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_loaded_lane_id_fkey FOREIGN KEY (loaded_lane_id) REFERENCES public.lanes(id);

ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES public.workers(id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_plan_fkey FOREIGN KEY (plan) REFERENCES public.plans(name);

GRANT USAGE ON SCHEMA public TO tessera_app;

REVOKE ALL ON FUNCTION public.ensure_partitions(ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ensure_partitions(ahead integer) TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.api_keys TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.artifacts TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.attempts TO tessera_app;

GRANT SELECT ON TABLE public.attempts_default TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.enrolment_tokens TO tessera_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.idempotency_keys TO tessera_app;

GRANT UPDATE(job_id) ON TABLE public.idempotency_keys TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.identities TO tessera_app;

GRANT USAGE ON SEQUENCE public.job_events_seq TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.job_events TO tessera_app;

GRANT SELECT ON TABLE public.job_events_default TO tessera_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.job_progress TO tessera_app;

GRANT SELECT,INSERT ON TABLE public.job_specs TO tessera_app;

GRANT UPDATE(spec) ON TABLE public.job_specs TO tessera_app;

GRANT UPDATE(metadata) ON TABLE public.job_specs TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.jobs TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.lanes TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.models TO tessera_app;

GRANT SELECT ON TABLE public.plans TO tessera_app;

GRANT SELECT ON TABLE public.schema_migrations TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.signing_keys TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.slots TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.switches TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.users TO tessera_app;

GRANT SELECT,INSERT,UPDATE ON TABLE public.workers TO tessera_app;
