/** What a family that is trained says of its training. */
import type { ModelFolder } from '@dwm/core-tensor/files';
import type { ModelFamily } from '../../families/index.ts';
import type { PlanContext, PlannedTask, TaskContext, TrainingTask } from './task.ts';

/** The networks that `dwm encode` uses. */
export type EncodingPart = 'vae' | 'text';

/**
 * What `dwm encode` makes of clips and captions: moments of frames spread over a clip, and captions filled up to all rows; or
 * one draw of every frame, and captions of their own lengths.
 */
export type Encodes =
  | { readonly kind: 'moments' }
  | {
      readonly kind: 'samples';
      /** Paths of the weights of a part: when they change, clips or captions are encoded anew. */
      files(folder: ModelFolder, part: EncodingPart): Promise<readonly string[]>;
    };

export interface FamilyTraining {
  readonly family: ModelFamily;
  /** Makes what the experiment trains, with everything that can be wrong found first. */
  openTask(context: TaskContext): Promise<TrainingTask>;
  /** The same for a plan: nothing but configurations and headers is read. */
  planTask(context: PlanContext): Promise<PlannedTask>;
  readonly encodes: Encodes;
  /** What the folders of latents and embeddings end in that are made beside clips. */
  readonly encodedSuffix: string;
  /** Folder for latents of clips of which only the first frame is seen, where the original makes such. */
  readonly firstFrameFolder?: string;
}
