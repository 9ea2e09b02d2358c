/**
 * A layer with one file, larger than what a store gives back at once.
 */
import { layerOfSize } from "./lazyLayer.ts"

export const completeSample = layerOfSize(1_500_000)
