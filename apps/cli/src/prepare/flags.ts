/** The flags of `dwm prepare`. */
import type { ResizePolicy } from '../render/fixed-camera.ts';
import type { ClipFlags } from '../render/options.ts';
import type { SourceFlags } from './source.ts';

/** As commander gives them. */
export interface Given extends ClipFlags, SourceFlags {
  inputVideo?: string;
  hands?: string;
  /** Folder of HOT3D's object models. */
  objects?: string;
  static?: string;
  focal?: number;
  out?: string;
  dataRoot?: string;
  skipExisting?: true;
  name?: string;
  prompt?: string;
  promptFile?: string;
  startFrame: number;
  resize: ResizePolicy;
}

export type Flags = Given & { readonly out: string };
