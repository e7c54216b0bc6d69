// Made by `make types` from the schemas of `tessera openapi`, fa62471cdda10c99b1fc3679a0c9911b21f24eedc779251aaa3db7a8a4fe9a2f.
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** AccountView */
        AccountView: {
            /** Format: uuid */
            id: string;
            name: string;
            plan: string;
            status: string;
            created_at: string;
            identities: components["schemas"]["IdentityView"][];
            paid_until: string | null;
            tokens: components["schemas"]["Tokens"];
            limits: components["schemas"]["Limits"];
            queued: number;
            running: number;
        };
        /** IdentityView */
        IdentityView: {
            provider: string;
            subject: string;
        };
        /** Tokens */
        Tokens: {
            daily_left: number;
            daily_per_day: number;
            purchased: number;
            held: number;
            available: number;
            resets_at: string;
        };
        /** Limits */
        Limits: {
            running_max: number;
            queued_max: number;
            submits_per_minute: number;
            reads_per_minute: number;
            images: boolean;
            pixels_max: number;
            video_seconds_max: number;
            retention_days: number;
        };
        /** AddressCheck */
        AddressCheck: {
            /** @enum {unknown} */
            outcome: "elsewhere" | "foreign" | "ours" | "silent" | "untrusted";
            said: string;
        };
        /** Admission */
        Admission: {
            cost: number;
            adult: boolean;
            refusal: components["schemas"]["Refusal"] | null;
            left: number | null;
        };
        /** Refusal */
        Refusal: {
            code: string;
            status: number;
            detail: string;
        };
        /** AdmitRequest */
        AdmitRequest: {
            order: components["schemas"]["SubmitRequest"];
            key: string;
            /** @default false */
            is_admin: boolean;
            /** @default false */
            adult_allowed: boolean;
        };
        /** SubmitRequest */
        SubmitRequest: {
            /** @default  */
            prompt: string;
            /**
             * @default image
             * @enum {unknown}
             */
            kind: "image" | "video";
            /** @default null */
            model: string | null;
            /** @default  */
            negative_prompt: string;
            /** @default null */
            width: number | null;
            /** @default null */
            height: number | null;
            /** @default null */
            steps: number | null;
            /** @default null */
            guidance: number | null;
            /** @default null */
            sampler: string | null;
            /** @default null */
            seed: number | null;
            /** @default 1 */
            count: number;
            /** @default null */
            input_image: string | components["schemas"]["InputReference"] | null;
            /** @default null */
            strength: number | null;
            /** @default null */
            frames: number | null;
            /** @default null */
            fps: number | null;
            /** @default {} */
            metadata: {
                [key: string]: string;
            };
            /** @default null */
            max_wait: number | null;
            /**
             * @default normal
             * @enum {unknown}
             */
            priority: "normal" | "urgent";
            /** @default null */
            webhook_url: string | null;
            /** @default null */
            upscale: (2 | 4) | null;
            /** @default null */
            embed_metadata: boolean | null;
            /** @default {} */
            loras: {
                [key: string]: number;
            };
            /** @default null */
            typed: components["schemas"]["Typed"] | null;
            /** @default false */
            adult: boolean;
        };
        /** InputReference */
        InputReference: {
            /** @default null */
            id: string | null;
            /** @default null */
            job_id: string | null;
            /** @default 0 */
            index: number;
        };
        /** Typed */
        Typed: {
            /** @default  */
            prompt: string;
            /** @default  */
            negative_prompt: string;
        };
        /** AgentRelease */
        AgentRelease: {
            version: string;
            wheel: string;
            wheel_sha256: string;
            requirements_sha256: string;
            protocol_min: number;
            protocol_max: number;
        };
        /** BatchQuote */
        BatchQuote: {
            cost: number;
            feasible_now: boolean;
            available: number;
            resets_at: string;
            refusal: components["schemas"]["BatchRefusal"] | null;
            jobs: components["schemas"]["Quote"][];
        };
        /** BatchRefusal */
        BatchRefusal: {
            code: string;
            status: number;
            detail: string;
            pointer: string;
        };
        /** Quote */
        Quote: {
            cost: number;
            feasible_now: boolean;
            eta: components["schemas"]["Eta"] | null;
            spec: components["schemas"]["JobSpec"];
            available: number;
            resets_at: string;
            refusal: components["schemas"]["Refusal"] | null;
            /** @default false */
            adult: boolean;
        };
        /** Eta */
        Eta: {
            p50_seconds: number;
            p90_seconds: number;
        };
        /** JobSpec */
        JobSpec: {
            /** @enum {unknown} */
            kind: "image" | "video";
            model: string;
            prompt: string;
            /** @default  */
            negative_prompt: string;
            width: number;
            height: number;
            steps: number;
            /** @default 7 */
            guidance: number;
            /** @default null */
            sampler: string | null;
            seed: number;
            /** @default 1 */
            count: number;
            /** @default null */
            input_image: components["schemas"]["Picture"] | null;
            /** @default null */
            strength: number | null;
            /** @default null */
            frames: number | null;
            /** @default null */
            fps: number | null;
            /** @default null */
            upscale: number | null;
            /** @default true */
            embed_metadata: boolean;
            /** @default {} */
            loras: {
                [key: string]: number;
            };
        };
        /** Picture */
        Picture: {
            /** Format: uuid */
            id: string;
            mime_type: string;
            width: number;
            height: number;
            bytes: number;
            sha256: string;
        };
        /** BatchRequest */
        BatchRequest: {
            jobs: components["schemas"]["SubmitRequest"][];
        };
        /** BatchView */
        BatchView: {
            /** Format: uuid */
            id: string;
            created_at: string;
            counts: {
                [key: string]: number;
            };
            cost: components["schemas"]["Cost"];
            jobs: components["schemas"]["JobView"][];
            urls: components["schemas"]["BatchUrls"];
        };
        /** Cost */
        Cost: {
            held: number;
            charged: number;
        };
        /** JobView */
        JobView: {
            /** Format: uuid */
            id: string;
            /** @enum {unknown} */
            status: "canceled" | "canceling" | "expired" | "failed" | "queued" | "running" | "succeeded";
            /** @enum {unknown} */
            kind: "image" | "video";
            model: string;
            prompt: string;
            negative_prompt: string;
            width: number;
            height: number;
            steps: number;
            guidance: number;
            seed: number;
            count: number;
            frames: number | null;
            fps: number | null;
            created_at: string;
            started_at: string | null;
            finished_at: string | null;
            waiting: components["schemas"]["Waiting"] | null;
            progress: components["schemas"]["Progress"] | null;
            artifacts: components["schemas"]["ArtifactView"][];
            cost: components["schemas"]["Cost"];
            error: components["schemas"]["JobError"] | null;
            metadata: {
                [key: string]: string;
            };
            urls: components["schemas"]["JobUrls"];
            /** @default null */
            input_image: string | null;
            /** @default null */
            strength: number | null;
            /** @default null */
            upscale: number | null;
            /** @default null */
            sampler: string | null;
            /** @default true */
            embed_metadata: boolean;
            /** @default null */
            batch_id: string | null;
            /** @default null */
            repeat_of: string | null;
            /** @default null */
            provenance: components["schemas"]["Provenance"] | null;
            /** @default false */
            test: boolean;
            /** @default false */
            adult: boolean;
            /** @default {} */
            loras: {
                [key: string]: number;
            };
            /** @default null */
            typed: components["schemas"]["Typed"] | null;
        };
        /** Waiting */
        Waiting: {
            /** @enum {unknown} */
            reason: "all_workers_busy" | "lane_paused" | "model_not_loaded" | "no_worker_for_model" | "plan_limit_running" | "retry_backoff" | "starting" | "workers_draining" | "workers_quarantined";
            /** @default null */
            position: string | null;
            /** @default null */
            eta: components["schemas"]["Eta"] | null;
        };
        /** Progress */
        Progress: {
            value: number;
            /** @default 0 */
            step: number;
            /** @default 0 */
            steps: number;
        };
        /** ArtifactView */
        ArtifactView: {
            index: number;
            url: string;
            /** @default null */
            thumbnail_url: string | null;
            mime_type: string;
            width: number;
            height: number;
            bytes: number;
            sha256: string;
        };
        /** JobError */
        JobError: {
            code: string;
            message: string;
        };
        /** JobUrls */
        JobUrls: {
            self: string;
            cancel: string;
            /** @default  */
            events: string;
        };
        /** Provenance */
        Provenance: {
            engine: string;
            /** @default  */
            engine_version: string;
            /** @default  */
            agent_version: string;
            /** @default null */
            workflow: string | null;
            /** @default null */
            workflow_version: string | null;
            /** @default [] */
            models: components["schemas"]["ModelFile"][];
            /** @default {} */
            libraries: {
                [key: string]: string;
            };
            /** @default  */
            device: string;
            /** @default [] */
            seeds: number[];
        };
        /** ModelFile */
        ModelFile: {
            name: string;
            /** @default null */
            sha256: string | null;
        };
        /** BatchUrls */
        BatchUrls: {
            self: string;
            cancel: string;
        };
        /** BooksView */
        BooksView: {
            violations: string[];
        };
        /** ChatRules */
        ChatRules: {
            /**
             * @default everyone
             * @enum {unknown}
             */
            who: "admins" | "everyone";
            /** @default null */
            models: string[] | null;
            /** @default true */
            safe_only: boolean;
            /** @default false */
            shares: boolean;
            /** @default null */
            daily_cap: number | null;
        };
        /** ChatView */
        ChatView: {
            rules: components["schemas"]["ChatRules"];
            ordered_today: number;
        };
        /** ClaimRequest */
        ClaimRequest: {
            /** Format: uuid */
            claim_id: string;
            protocol: number;
            slots: components["schemas"]["SlotClaim"][];
            /** @default 0 */
            wait: number;
        };
        /** SlotClaim */
        SlotClaim: {
            slot: number;
            /** @default [] */
            capabilities: components["schemas"]["Capability"][];
            /** @default 0 */
            vram_gib: number;
            /** @default null */
            loaded: components["schemas"]["Capability"] | null;
            /** @default false */
            ahead: boolean;
            /** @default null */
            capabilities_sha256: string | null;
        };
        /** Capability */
        Capability: {
            /** @enum {unknown} */
            kind: "image" | "video";
            model: string;
            /** @default [] */
            tasks: ("image-to-image" | "image-to-video" | "inpaint" | "text-to-image" | "text-to-video" | "upscale")[];
        };
        /** Claimed */
        Claimed: {
            leases: components["schemas"]["Lease"][];
            /** @default {} */
            skipped: {
                [key: string]: number;
            };
            /** @default [] */
            messages: string[];
        };
        /** Lease */
        Lease: {
            /** Format: uuid */
            job_id: string;
            attempt: number;
            /** Format: uuid */
            token: string;
            slot: number;
            expires_in: number;
            spec: components["schemas"]["JobSpec"];
            /** @default null */
            traceparent: string | null;
        };
        /** CodeSignIn */
        CodeSignIn: {
            code: string;
        };
        /** CompleteRequest */
        CompleteRequest: {
            artifacts: number;
            /** @default null */
            claim: components["schemas"]["ClaimRequest"] | null;
            /** @default null */
            provenance: components["schemas"]["Provenance"] | null;
            /** @default null */
            joules: number | null;
        };
        /** Decided */
        Decided: {
            /** Format: uuid */
            id: string;
            /** @enum {unknown} */
            state: "dismissed" | "open" | "upheld";
            quarantined: number[];
        };
        /** Deletion */
        Deletion: {
            finished: boolean;
            detail: string;
        };
        /** DeletionRequest */
        DeletionRequest: {
            name: string;
        };
        /** DeliveryList */
        DeliveryList: {
            data: components["schemas"]["DeliveryView"][];
            has_more: boolean;
            next_cursor: string | null;
        };
        /** DeliveryView */
        DeliveryView: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            webhook_id: string;
            message_id: string;
            type: string;
            job_id: string | null;
            url: string;
            /** @enum {unknown} */
            status: "dead" | "delivered" | "pending";
            attempts: number;
            next_attempt_at: string | null;
            last_attempt_at: string | null;
            last_status: number | null;
            last_error: string | null;
            last_excerpt: string | null;
            last_seconds: number | null;
            delivered_at: string | null;
            created_at: string;
        };
        /** DirectAnswer */
        DirectAnswer: {
            url: string | null;
            /** @default {} */
            headers: {
                [key: string]: string;
            };
        };
        /** DirectRequest */
        DirectRequest: {
            bytes: number;
            sha256: string;
        };
        /** EnrollRequest */
        EnrollRequest: {
            token: string;
            secret_sha256: string;
            name: string;
            /** @default  */
            agent_version: string;
        };
        /** Enrolled */
        Enrolled: {
            /** Format: uuid */
            worker_id: string;
            name: string;
            protocol_min: number;
            protocol_max: number;
            intervals: components["schemas"]["Intervals"];
        };
        /** Intervals */
        Intervals: {
            /** @default 60 */
            lease: number;
            /** @default 10 */
            offer: number;
            /** @default 15 */
            grace: number;
            /** @default 10 */
            heartbeat: number;
            /** @default 10 */
            hold: number;
            /** @default 45 */
            self_fence: number;
            /** @default 25 */
            poll: number;
            /** @default 0.5 */
            progress: number;
            /** @default 15 */
            prefetch: number;
        };
        /** Enrolment */
        Enrolment: {
            token: string;
            command: string;
        };
        /** EnrolmentRequest */
        EnrolmentRequest: {
            /** @default null */
            name: string | null;
        };
        /** ErrorBody */
        ErrorBody: {
            error: components["schemas"]["ErrorDetail"];
        };
        /** ErrorDetail */
        ErrorDetail: {
            message: string;
            type: string;
            param: string | null;
            code: string;
        };
        /** FailRequest */
        FailRequest: {
            /** @enum {unknown} */
            cause: "engine_crash" | "invalid_input" | "missing_model" | "moderation" | "oom" | "timeout" | "upload";
            /** @default  */
            message: string;
            /** @default null */
            joules: number | null;
        };
        /** GalleryList */
        GalleryList: {
            data: components["schemas"]["GalleryPiece"][];
            has_more: boolean;
            next_cursor: string | null;
        };
        /** GalleryPiece */
        GalleryPiece: {
            /** Format: uuid */
            id: string;
            /** @enum {unknown} */
            kind: "image" | "video";
            model: string;
            prompt: string | null;
            width: number;
            height: number;
            mime_type: string;
            url: string;
            thumbnail_url: string | null;
            /** Format: uuid */
            job_id: string;
            index: number;
        };
        /** GrantRequest */
        GrantRequest: {
            tokens: number;
            reason: string;
        };
        /** GrantView */
        GrantView: {
            /** Format: uuid */
            id: string;
            purchased: number;
        };
        /** Health */
        Health: {
            /** @default ok */
            status: string;
        };
        /** HeartbeatAnswer */
        HeartbeatAnswer: {
            renewed: components["schemas"]["Renewal"][];
            cancel: string[];
            revoke: string[];
            watched: string[];
            drain: boolean;
            intervals: components["schemas"]["Intervals"];
            server_time: string;
            /** @default  */
            workflows: string;
        };
        /** Renewal */
        Renewal: {
            /** Format: uuid */
            job_id: string;
            attempt: number;
            expires_in: number;
        };
        /** HeartbeatRequest */
        HeartbeatRequest: {
            leases: components["schemas"]["LeaseReport"][];
            /** @default [] */
            slots: components["schemas"]["SlotReport"][];
            /** @default 0 */
            hold: number;
            /** @default false */
            draining: boolean;
        };
        /** LeaseReport */
        LeaseReport: {
            /** Format: uuid */
            job_id: string;
            attempt: number;
            /** Format: uuid */
            token: string;
            /** @enum {unknown} */
            phase: "held" | "started";
            /** @default null */
            progress: components["schemas"]["Progress"] | null;
            /** @default null */
            preview: string | null;
        };
        /** SlotReport */
        SlotReport: {
            slot: number;
            /** @default true */
            healthy: boolean;
            /** @default null */
            loaded: components["schemas"]["Capability"] | null;
            /** @default {} */
            gpu: {
                [key: string]: number;
            };
            /** @default false */
            proven: boolean;
        };
        /** ImageRequest */
        ImageRequest: {
            prompt: string;
            /** @default null */
            model: string | null;
            /** @default null */
            n: number | null;
            /** @default null */
            size: string | null;
            /** @default null */
            response_format: ("b64_json" | "url") | null;
            /** @default null */
            output_format: ("gif" | "jpeg" | "png" | "svg" | "webp") | null;
            /** @default null */
            output_compression: number | null;
            /** @default null */
            quality: ("auto" | "hd" | "high" | "low" | "medium" | "standard") | null;
            /** @default null */
            background: ("auto" | "opaque" | "transparent") | null;
            /** @default null */
            moderation: ("auto" | "low") | null;
            /** @default null */
            style: ("natural" | "vivid") | null;
            /** @default null */
            user: string | null;
            /** @default null */
            safety_identifier: string | null;
            /** @default null */
            stream: boolean | null;
            /** @default null */
            partial_images: number | null;
            /** @default  */
            negative_prompt: string;
            /** @default null */
            seed: number | null;
            /** @default null */
            steps: number | null;
            /** @default null */
            guidance: number | null;
        };
        /** ImagesResponse */
        ImagesResponse: {
            created: number;
            data: components["schemas"]["Image"][];
            output_format: string;
            size: string;
            /**
             * @default opaque
             * @enum {unknown}
             */
            background: "opaque";
            usage: components["schemas"]["ImageUsage"];
            job_id: string;
        };
        /** Image */
        Image: {
            /** @default null */
            b64_json: string | null;
            /** @default null */
            url: string | null;
        };
        /** ImageUsage */
        ImageUsage: {
            output_tokens: number;
            total_tokens: number;
            output_tokens_details: components["schemas"]["TokenDetails"];
            /** @default 0 */
            input_tokens: number;
            /**
             * @default {
             *       "image_tokens": 0,
             *       "text_tokens": 0
             *     }
             */
            input_tokens_details: components["schemas"]["TokenDetails"];
        };
        /** TokenDetails */
        TokenDetails: {
            image_tokens: number;
            /** @default 0 */
            text_tokens: number;
        };
        /** InputList */
        InputList: {
            data: components["schemas"]["InputView"][];
            has_more: boolean;
            next_cursor: string | null;
        };
        /** InputView */
        InputView: {
            /** Format: uuid */
            id: string;
            mime_type: string;
            width: number;
            height: number;
            bytes: number;
            sha256: string;
            received_sha256: string;
            created_at: string;
            expires_at: string;
            url: string;
        };
        /** InviteRequest */
        InviteRequest: {
            code: string;
        };
        /** InviteSignIn */
        InviteSignIn: {
            code: string;
        };
        /** JobList */
        JobList: {
            data: components["schemas"]["JobView"][];
            has_more: boolean;
            next_cursor: string | null;
        };
        /** KeyList */
        KeyList: {
            data: components["schemas"]["KeyView"][];
        };
        /** KeyView */
        KeyView: {
            id: string;
            name: string;
            test: boolean;
            scopes: string[];
            models: string[] | null;
            networks: string[] | null;
            origins: string[] | null;
            daily_cap: number | null;
            ordered_today: number | null;
            created_at: string;
            expires_at: string | null;
            last_used_at: string | null;
            rotated_at: string | null;
            old_expires_at: string | null;
            old_used_at: string | null;
        };
        /** KeyMade */
        KeyMade: {
            id: string;
            name: string;
            test: boolean;
            scopes: string[];
            models: string[] | null;
            networks: string[] | null;
            origins: string[] | null;
            daily_cap: number | null;
            ordered_today: number | null;
            created_at: string;
            expires_at: string | null;
            last_used_at: string | null;
            rotated_at: string | null;
            old_expires_at: string | null;
            old_used_at: string | null;
            key: string;
        };
        /** KeyRequest */
        KeyRequest: {
            name: string;
            /** @default null */
            scopes: ("admin" | "keys" | "metrics" | "operate" | "payments" | "read" | "submit")[] | null;
            /** @default false */
            test: boolean;
            /** @default null */
            expires_seconds: number | null;
            /** @default null */
            daily_cap: number | null;
            /** @default null */
            models: string[] | null;
            /** @default null */
            networks: string[] | null;
            /** @default null */
            origins: string[] | null;
        };
        /** KnownIdentities */
        KnownIdentities: {
            known: string[];
        };
        /** KnownRequest */
        KnownRequest: {
            identities: string[];
        };
        /** LedgerList */
        LedgerList: {
            data: components["schemas"]["LedgerLine"][];
            has_more: boolean;
            next_cursor: string | null;
        };
        /** LedgerLine */
        LedgerLine: {
            id: number;
            at: string;
            kind: string;
            amount: number;
            words: string;
            job_id: string | null;
            purchased: number;
            held: number;
        };
        /** LinkCode */
        LinkCode: {
            code: string;
            expires_at: string;
        };
        /** LinkRequest */
        LinkRequest: {
            code: string;
        };
        /** ModelList */
        ModelList: {
            data: components["schemas"]["ModelView"][];
            formula: string;
        };
        /** ModelView */
        ModelView: {
            name: string;
            /** @enum {unknown} */
            kind: "image" | "video";
            title: string;
            width: number;
            height: number;
            pixels_max: number;
            steps: number;
            steps_max: number;
            guidance: number;
            frames: number | null;
            frames_max: number | null;
            fps: number | null;
            example_cost: number;
            paused: boolean;
            feasible_now: boolean;
            price: components["schemas"]["Price"];
            tasks: ("image-to-image" | "image-to-video" | "inpaint" | "text-to-image" | "text-to-video" | "upscale")[];
            upscales: number[];
            typical_seconds: number | null;
            parameters: Record<string, never>;
            /** @default [] */
            loras: components["schemas"]["LoraView"][];
            /** @default [] */
            licences: components["schemas"]["ModelLicence"][];
            /**
             * @default [
             *       "en"
             *     ]
             */
            languages: string[];
        };
        /** Price */
        Price: {
            weight: number;
            pixels_per_token: number;
            steps_per_token: number;
            frames_per_picture: number;
        };
        /** LoraView */
        LoraView: {
            name: string;
            title: string;
            min: number;
            max: number;
            default: number;
            /** @default [] */
            triggers: string[];
        };
        /** ModelLicence */
        ModelLicence: {
            name: string;
            url: string;
            /** @enum {unknown} */
            commercial: "conditional" | "no" | "yes";
            /** @default null */
            conditions: string | null;
        };
        /** ModelObject */
        ModelObject: {
            id: string;
            owned_by: string;
            /**
             * @default model
             * @enum {unknown}
             */
            object: "model";
            /** @default 0 */
            created: number;
        };
        /** ModelObjects */
        ModelObjects: {
            data: components["schemas"]["ModelObject"][];
            /**
             * @default list
             * @enum {unknown}
             */
            object: "list";
        };
        /** OperatorJobList */
        OperatorJobList: {
            data: components["schemas"]["OperatorJob"][];
        };
        /** OperatorJob */
        OperatorJob: {
            /** Format: uuid */
            id: string;
            user: string;
            kind: string;
            model: string;
            state: string;
            worker: string | null;
            attempt: number;
            created_at: string;
            finished_at: string | null;
            error_code: string | null;
        };
        /** PackList */
        PackList: {
            data: components["schemas"]["PackView"][];
        };
        /** PackView */
        PackView: {
            name: string;
            tokens: number;
            stars: number;
            price_cents: number;
            currency: string;
        };
        /** PaymentList */
        PaymentList: {
            data: components["schemas"]["PaymentView"][];
        };
        /** PaymentView */
        PaymentView: {
            /** Format: uuid */
            id: string;
            provider: string;
            provider_id: string;
            pack: string;
            amount: number;
            currency: string;
            tokens: number;
            /** @enum {unknown} */
            state: "credited" | "refunded";
            place: string;
            payer: string | null;
            created_at: string;
            refunded_at: string | null;
        };
        /** PaymentRequest */
        PaymentRequest: {
            provider: string;
            provider_id: string;
            pack: string;
            amount: number;
            currency: string;
            /** @default  */
            place: string;
        };
        /** PictureRequest */
        PictureRequest: {
            /** @default a lighthouse at dawn */
            prompt: string;
        };
        /** PlanChange */
        PlanChange: {
            plan: string;
            /** @default null */
            paid_until: string | null;
        };
        /** PlanList */
        PlanList: {
            data: components["schemas"]["PlanView"][];
        };
        /** PlanView */
        PlanView: {
            name: string;
            queued_max: number;
            retention_days: number;
            tokens_per_day: number;
            newcomer_days: number;
            weight: number;
            running_max: number;
            submits_per_minute: number;
            reads_per_minute: number;
            images: boolean;
            pixels_max: number;
            video_seconds_max: number;
            price_cents: number;
            currency: string;
        };
        /** Preferences */
        Preferences: {
            embed_metadata: boolean;
            choices?: components["schemas"]["Choices"];
        };
        /** Choices */
        Choices: {
            /** @default null */
            language: string | null;
            /** @default null */
            image_model: string | null;
            /** @default null */
            video_model: string | null;
            /** @default null */
            width: number | null;
            /** @default null */
            height: number | null;
            /** @default null */
            count: number | null;
        };
        /** Problem */
        Problem: {
            type: string;
            title: string;
            status: number;
            detail: string;
            instance: string;
            code: string;
            request_id: string;
            /** @default [] */
            errors: components["schemas"]["Fault"][];
        };
        /** Fault */
        Fault: {
            pointer: string;
            code: string;
            detail: string;
        };
        /** ProposalList */
        ProposalList: {
            data: components["schemas"]["ProposalView"][];
            has_more: boolean;
            next_cursor: string | null;
        };
        /** ProposalView */
        ProposalView: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            job_id: string;
            index: number;
            /** @enum {unknown} */
            state: "approved" | "proposed" | "refused" | "withdrawn";
            /** Format: uuid */
            user_id: string;
            user: string;
            /** @enum {unknown} */
            kind: "image" | "video";
            model: string;
            prompt: string | null;
            width: number;
            height: number;
            mime_type: string;
            url: string;
            thumbnail_url: string | null;
            reason: string;
            proposed_at: string;
            decided_at: string | null;
            decided_by: string | null;
        };
        /** PublicationList */
        PublicationList: {
            data: components["schemas"]["PublicationView"][];
        };
        /** PublicationView */
        PublicationView: {
            index: number;
            /** @enum {unknown} */
            state: "approved" | "proposed" | "refused" | "withdrawn";
            show_prompt: boolean;
            reason: string;
            proposed_at: string;
            decided_at: string | null;
        };
        /** PublishRequest */
        PublishRequest: {
            /** @default false */
            show_prompt: boolean;
        };
        /** Readiness */
        Readiness: {
            /** @default ok */
            status: string;
            /** @enum {unknown} */
            disk: "low" | "ok";
            dependencies: components["schemas"]["Dependency"][];
        };
        /** Dependency */
        Dependency: {
            /** @enum {unknown} */
            name: "database" | "disk" | "hints" | "policy" | "schema" | "store";
            /** @enum {unknown} */
            result: "bad" | "note" | "ok";
            /** @default  */
            found: string;
            /** @default  */
            cure: string;
        };
        /** Reason */
        Reason: {
            /** @default  */
            reason: string;
        };
        /** RefundRequest */
        RefundRequest: {
            provider: string;
            provider_id: string;
            /** @default  */
            reason: string;
        };
        /** RefuseRequest */
        RefuseRequest: {
            reason: string;
        };
        /** ReleaseRequest */
        ReleaseRequest: {
            /** @enum {unknown} */
            reason: "canceled" | "drain" | "not_started" | "shutdown" | "yield";
            /** @default null */
            joules: number | null;
        };
        /** RepeatRequest */
        RepeatRequest: {
            prompt?: string | null;
            kind?: ("image" | "video") | null;
            model?: string | null;
            negative_prompt?: string | null;
            width?: number | null;
            height?: number | null;
            steps?: number | null;
            guidance?: number | null;
            sampler?: string | null;
            seed?: number | null;
            count?: number | null;
            input_image?: string | components["schemas"]["InputReference"] | null;
            strength?: number | null;
            frames?: number | null;
            fps?: number | null;
            metadata?: {
                [key: string]: string | null;
            } | null;
            max_wait?: number | null;
            priority?: ("normal" | "urgent") | null;
            webhook_url?: string | null;
            upscale?: (2 | 4) | null;
            embed_metadata?: boolean | null;
            loras?: {
                [key: string]: number | null;
            } | null;
            typed?: components["schemas"]["Typed"] | null;
            adult?: boolean | null;
        };
        /** ReportList */
        ReportList: {
            data: components["schemas"]["ReportView"][];
            has_more: boolean;
            next_cursor: string | null;
        };
        /** ReportView */
        ReportView: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            job_id: string;
            index: number | null;
            /** Format: uuid */
            reporter_id: string;
            reporter: string;
            /** @enum {unknown} */
            category: "copyright" | "hate" | "minors" | "other" | "person" | "sexual" | "violence";
            text: string;
            /** @enum {unknown} */
            state: "dismissed" | "open" | "upheld";
            created_at: string;
            handled_at: string | null;
            handled_by: string | null;
        };
        /** ReportReceipt */
        ReportReceipt: {
            /** Format: uuid */
            id: string;
            created_at: string;
        };
        /** ReportRequest */
        ReportRequest: {
            /** Format: uuid */
            job_id: string;
            /** @default null */
            index: number | null;
            /** @enum {unknown} */
            category: "copyright" | "hate" | "minors" | "other" | "person" | "sexual" | "violence";
            /** @default  */
            text: string;
        };
        /** Reported */
        Reported: {
            state: string;
            /** @default null */
            claimed: components["schemas"]["Claimed"] | null;
        };
        /** Revocation */
        Revocation: {
            /** Format: uuid */
            id: string;
            jobs: number;
        };
        /** RotateRequest */
        RotateRequest: {
            /** @default 86400 */
            overlap_seconds: number;
        };
        /** ServiceView */
        ServiceView: {
            submits_paused: boolean;
            reason: string;
            workers: {
                [key: string]: number;
            };
            lanes: components["schemas"]["LaneView"][];
        };
        /** LaneView */
        LaneView: {
            id: number;
            kind: string;
            model: string;
            vram_gib: number;
            paused: boolean;
            queued: number;
            backoff: number;
            leased: number;
            live_slots: number;
            /** @default null */
            oldest_seconds: number | null;
        };
        /** SessionList */
        SessionList: {
            data: components["schemas"]["SessionEntry"][];
        };
        /** SessionEntry */
        SessionEntry: {
            /** Format: uuid */
            id: string;
            current: boolean;
            way: string;
            device: string;
            created_at: string;
            expires_at: string;
            last_used_at: string;
        };
        /** SessionView */
        SessionView: {
            signed_in: boolean;
            user: components["schemas"]["SessionUser"] | null;
            is_operator: boolean;
            providers: components["schemas"]["ProviderView"][];
            refusal: string | null;
            newcomer: ("code" | "discord" | "google" | "telegram") | null;
            session_id: string | null;
            expires_at: string | null;
        };
        /** SessionUser */
        SessionUser: {
            /** Format: uuid */
            id: string;
            name: string;
            plan: string;
            status: string;
        };
        /** ProviderView */
        ProviderView: {
            /** @enum {unknown} */
            id: "code" | "discord" | "google" | "telegram";
            title: string;
            url: string;
        };
        /** SetupRequest */
        SetupRequest: {
            /** @enum {unknown} */
            put_off?: "account" | "address" | "backup" | "bots" | "machine";
            /** @enum {unknown} */
            take_up?: "account" | "address" | "backup" | "bots" | "machine";
            closed?: boolean;
        };
        /** SetupView */
        SetupView: {
            closed: boolean;
            steps: components["schemas"]["SetupStep"][];
            address: components["schemas"]["SetupAddress"];
            machine: components["schemas"]["SetupMachine"];
            bots: components["schemas"]["SetupBots"][];
            backup: components["schemas"]["SetupBackup"];
        };
        /** SetupStep */
        SetupStep: {
            /** @enum {unknown} */
            name: "account" | "address" | "backup" | "bots" | "machine";
            /** @enum {unknown} */
            state: "done" | "open" | "put_off";
        };
        /** SetupAddress */
        SetupAddress: {
            url: string;
            is_set: boolean;
            secure: boolean;
            listens_on: string;
        };
        /** SetupMachine */
        SetupMachine: {
            /** @enum {unknown} */
            light: "enrolled" | "expired" | "green" | "off" | "ready" | "waiting";
            expires_at: string | null;
            name: string | null;
            condition: ("away" | "busy" | "drained" | "draining" | "idle" | "quarantined" | "revoked") | null;
            serves: string[];
            picture_job_id: string | null;
            picture_by: string | null;
        };
        /** SetupBots */
        SetupBots: {
            name: string;
            providers: string[];
            last_used_at: string | null;
        };
        /** SetupBackup */
        SetupBackup: {
            place: string | null;
            at: string;
            closed_to_a_key: boolean;
            last_started_at: string | null;
            last_error: string | null;
            verified_at: string | null;
        };
        /** ShareView */
        ShareView: {
            url: string;
            token: string;
            created_at: string;
        };
        /** SharedView */
        SharedView: {
            /** @enum {unknown} */
            kind: "image" | "video";
            model: string;
            prompt: string;
            width: number;
            height: number;
            artifacts: components["schemas"]["ArtifactView"][];
            created_at: string;
        };
        /** Sharing */
        Sharing: {
            link: components["schemas"]["ShareView"] | null;
        };
        /** SignedIn */
        SignedIn: {
            next: string;
        };
        /** Suspension */
        Suspension: {
            /** Format: uuid */
            id: string;
            /** @enum {unknown} */
            status: "active" | "suspended";
            /** @default 0 */
            canceled: number;
            /** @default 0 */
            canceling: number;
        };
        /** SwitchRequest */
        SwitchRequest: {
            /** @enum {unknown} */
            what: "lane" | "model" | "submits";
            /** @default  */
            name: string;
            paused: boolean;
            /** @default  */
            reason: string;
        };
        /** TelegramSignIn */
        TelegramSignIn: {
            state: string;
            data: {
                [key: string]: string | number;
            };
        };
        /** Timeline */
        Timeline: {
            data: components["schemas"]["TimelineEvent"][];
        };
        /** TimelineEvent */
        TimelineEvent: {
            name: string;
            attempt: number;
            at: string;
        };
        /** Uploaded */
        Uploaded: {
            index: number;
            mime_type: string;
            width: number;
            height: number;
            bytes: number;
            sha256: string;
        };
        /** UsageView */
        UsageView: {
            data: components["schemas"]["UsageDay"][];
            jobs: number;
            tokens: number;
        };
        /** UsageDay */
        UsageDay: {
            /** Format: date */
            day: string;
            jobs: number;
            daily: number;
            purchased: number;
        };
        /** UserFound */
        UserFound: {
            user: components["schemas"]["UserView"];
        };
        /** UserView */
        UserView: {
            /** Format: uuid */
            id: string;
            name: string;
            plan: string;
            status: string;
            created_at: string;
            identities: components["schemas"]["IdentityView"][];
        };
        /** WebhookChange */
        WebhookChange: {
            url?: string;
            events?: ("job.canceled" | "job.expired" | "job.failed" | "job.started" | "job.succeeded")[];
            description?: string;
            disabled?: boolean;
        };
        /** WebhookList */
        WebhookList: {
            data: components["schemas"]["WebhookView"][];
        };
        /** WebhookView */
        WebhookView: {
            /** Format: uuid */
            id: string;
            url: string | null;
            events: ("job.canceled" | "job.expired" | "job.failed" | "job.started" | "job.succeeded")[];
            description: string;
            /** @enum {unknown} */
            status: "disabled" | "enabled";
            disabled_reason: ("failing" | "gone" | "owner") | null;
            failing_since: string | null;
            secrets: number;
            created_at: string;
        };
        /** WebhookRequest */
        WebhookRequest: {
            /** @default null */
            url: string | null;
            /** @default null */
            events: ("job.canceled" | "job.expired" | "job.failed" | "job.started" | "job.succeeded")[] | null;
            /** @default  */
            description: string;
        };
        /** WebhookSecret */
        WebhookSecret: {
            webhook: components["schemas"]["WebhookView"];
            secret: string;
        };
        /** WhyView */
        WhyView: {
            /** Format: uuid */
            job_id: string;
            state: string;
            lines: string[];
        };
        /** WorkerList */
        WorkerList: {
            data: components["schemas"]["WorkerView"][];
        };
        /** WorkerView */
        WorkerView: {
            /** Format: uuid */
            id: string;
            name: string;
            /** @enum {unknown} */
            condition: "away" | "busy" | "drained" | "draining" | "idle" | "quarantined" | "revoked";
            slots: number;
            leases: number;
            serves: string[];
            last_seen_at: string | null;
            agent_version: string;
            /** @default [] */
            engines: components["schemas"]["SlotView"][];
        };
        /** SlotView */
        SlotView: {
            slot: number;
            loaded: string | null;
            vram_gib: number;
            healthy: boolean;
            quarantined: boolean;
            gpu: {
                [key: string]: number;
            };
            leases: number;
            jobs: string[];
        };
        /** WorkflowSet */
        WorkflowSet: {
            revision: string;
            data: components["schemas"]["SentWorkflow"][];
            /** @default [] */
            weights: components["schemas"]["SentEntry"][];
        };
        /** SentWorkflow */
        SentWorkflow: {
            name: string;
            manifest: unknown;
            graph: unknown;
        };
        /** SentEntry */
        SentEntry: {
            file: unknown;
            licence: unknown;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
