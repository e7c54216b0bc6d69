/** Sizes by shape: as many pixels as the model likes, in sides that it takes. */
import type { Model } from "@/data/types";

export const SHAPES = [
  { name: "1:1", ratio: 1, look: "r-1x1" },
  { name: "3:2", ratio: 3 / 2, look: "r-3x2" },
  { name: "2:3", ratio: 2 / 3, look: "r-2x3" },
  { name: "16:9", ratio: 16 / 9, look: "r-16x9" },
  { name: "9:16", ratio: 9 / 16, look: "r-9x16" },
] as const;
export type Shape = (typeof SHAPES)[number]["name"];

export const SCALES = [
  { name: "Draft", factor: 0.5 },
  { name: "Standard", factor: 1 },
  { name: "Large", factor: 2 },
] as const;
export type Scale = (typeof SCALES)[number]["name"];

const STEP = 8;
const SIDE_MIN = 64;
const SIDE_MAX = 4096;

export function size(model: Model, shape: Shape, scale: Scale, pixelsMax: number): { width: number; height: number } {
  const ratio = SHAPES.find((one) => one.name === shape)?.ratio ?? 1;
  const factor = SCALES.find((one) => one.name === scale)?.factor ?? 1;
  const pixels = Math.min(model.width * model.height * factor, model.pixels_max, pixelsMax);
  return { width: side(Math.sqrt(pixels * ratio)), height: side(Math.sqrt(pixels / ratio)) };
}

function side(length: number): number {
  return Math.max(SIDE_MIN, Math.min(SIDE_MAX, Math.floor(length / STEP + 1e-9) * STEP));
}

/** The shape and scale that come closest to a size, to take over what another job had. */
export function nearest(model: Model, width: number, height: number): { shape: Shape; scale: Scale } {
  const by = (value: number, wanted: number) => Math.abs(Math.log(value / wanted));
  const shape = [...SHAPES].sort((a, b) => by(a.ratio, width / height) - by(b.ratio, width / height))[0]!;
  const own = model.width * model.height;
  const scale = [...SCALES].sort((a, b) => by(a.factor * own, width * height) - by(b.factor * own, width * height))[0]!;
  return { shape: shape.name, scale: scale.name };
}
