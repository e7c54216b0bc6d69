"use client";

/** A picture or film of a job, at once in its final shape so that nothing moves when it arrives. */
import { local } from "@/data/api";
import type { Artifact, Job } from "@/data/types";

export function Shot({ artifact, job, whole = false }: { artifact: Artifact; job: Job; whole?: boolean }) {
  const url = local(artifact.url);
  const still = artifact.thumbnail_url ? local(artifact.thumbnail_url) : url;
  if (artifact.mime_type.startsWith("video/")) {
    return <video src={url} poster={artifact.thumbnail_url ? still : undefined} width={artifact.width} height={artifact.height} controls loop muted playsInline preload="metadata" aria-label={job.prompt || "Film"} />;
  }
  return <img src={whole || job.artifacts.length === 1 ? url : still} width={artifact.width} height={artifact.height} alt={job.prompt || "Picture"} decoding="async" />;
}
