/**
 * The hands of a trajectory's frame, ready to draw. A hand given by MANO parameters is drawn with the user's MANO
 * model where there is one; any other follows its joints with a rig. A hand that is not in the frame is not drawn.
 */
import { type Device, InvalidArgumentError } from '@dwm/core-tensor';
import type { HandPair } from '../hands/hand-renderer.ts';
import { ManoHand } from '../hands/mano-hand.ts';
import { RiggedHand } from '../hands/rigged-hand.ts';
import type { ManoModel } from '../mano/model.ts';
import type { HandSide } from '../mano/pose.ts';
import type { Scene } from '../scene/scene.ts';
import { type HandPose, type Hands, SIDES } from '../trajectory/types.ts';

/** What hands are drawn with. */
export interface HandModels {
  /** Scenes with WebXR joint names, e.g. the default hands. */
  readonly rigs: Readonly<Record<HandSide, Scene>>;
  readonly mano?: ManoModel;
}

/** Both hands, posed frame by frame from joints or MANO parameters. */
export class PosedHands {
  readonly #rigs: Readonly<Record<HandSide, RiggedHand>>;
  readonly #mano?: Readonly<Record<HandSide, ManoHand>>;

  /** @throws InvalidFileError for a rig that is no hand. */
  constructor(device: Device, { rigs, mano }: HandModels) {
    this.#rigs = { left: new RiggedHand(device, rigs.left), right: new RiggedHand(device, rigs.right) };
    if (mano) {
      this.#mano = { left: new ManoHand(device, mano, 'left'), right: new ManoHand(device, mano, 'right') };
    }
  }

  /**
   * Moves the hands; what was returned before moves with them.
   * @throws InvalidArgumentError for a hand that has MANO parameters only where there is no MANO model.
   */
  pose(hands: Hands): HandPair {
    const [left, right] = SIDES.map((side) => this.#pose(side, hands[side]));
    return { left, right };
  }

  #pose(side: HandSide, hand: HandPose | null): ManoHand | RiggedHand | null {
    if (!hand) return null;
    if (hand.mano && this.#mano) {
      this.#mano[side].pose(hand.mano);
      return this.#mano[side];
    }
    if (!hand.joints) {
      throw new InvalidArgumentError(
        'mano',
        `the ${side} hand is given by MANO parameters only, which need the MANO file they were made with`,
      );
    }
    this.#rigs[side].pose(hand.joints);
    return this.#rigs[side];
  }

  destroy(): void {
    for (const side of SIDES) {
      this.#rigs[side].destroy();
      this.#mano?.[side].destroy();
    }
  }
}
