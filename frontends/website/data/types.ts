/** Names for what the API says; the shapes are generated. */
import type { components } from "@/data/wire";

type Schemas = components["schemas"];

export type Job = Schemas["JobView"];
export type JobList = Schemas["JobList"];
export type Artifact = Schemas["ArtifactView"];
export type Progress = Schemas["Progress"];
export type Model = Schemas["ModelView"];
export type ModelList = Schemas["ModelList"];
export type Order = Schemas["SubmitRequest"];
export type Quote = Schemas["Quote"];
export type Plan = Schemas["PlanView"];
export type PlanList = Schemas["PlanList"];
export type PackList = Schemas["PackList"];
export type Account = Schemas["AccountView"];
export type Usage = Schemas["UsageView"];
export type UsageDay = Schemas["UsageDay"];
export type LinkCode = Schemas["LinkCode"];
export type Input = Schemas["InputView"];
export type Key = Schemas["KeyView"];
export type KeyList = Schemas["KeyList"];
export type KeyMade = Schemas["KeyMade"];
export type Webhook = Schemas["WebhookView"];
export type WebhookList = Schemas["WebhookList"];
export type WebhookSecret = Schemas["WebhookSecret"];
export type Delivery = Schemas["DeliveryView"];
export type DeliveryList = Schemas["DeliveryList"];
export type PaymentList = Schemas["PaymentList"];
export type Service = Schemas["ServiceView"];
export type WorkerList = Schemas["WorkerList"];
export type Worker = Schemas["WorkerView"];
export type UserFound = Schemas["UserFound"];
