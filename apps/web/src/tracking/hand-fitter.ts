/** What the networks see in one picture after another, as our hands: each goes on from where it was. */
import { Articulation, fitHand, type Posture, type SeenHand } from '@dwm/hands';
import { fromFieldOfView, type HandSide, type Hands, NO_HANDS } from '@dwm/renderer';
import { REST_HANDS } from './rest-hands.ts';

/** A common webcam, 60 degrees across. */
const FIELD_OF_VIEW = Math.PI / 3;

const HANDS = {
  left: new Articulation(REST_HANDS.left, 1),
  right: new Articulation(REST_HANDS.right, 1),
};

export class HandFitter {
  #last: { readonly [side in HandSide]?: Posture } = {};

  /** @returns hands before a camera at the origin, OpenGL axes, that sees `size` pixels. */
  fit(seen: readonly SeenHand[], size: { readonly width: number; readonly height: number }): Hands {
    const camera = fromFieldOfView(size.width, size.height, FIELD_OF_VIEW);
    const postures: { [side in HandSide]?: Posture } = {};
    for (const hand of seen) {
      // Nobody has two hands of one side: the surer one comes first.
      const side = postures[hand.side] ? (hand.side === 'left' ? 'right' : 'left') : hand.side;
      const fitted = fitHand(hand, camera, HANDS[side], REST_HANDS[side], this.#last[side]);
      if (fitted) postures[side] = fitted.posture;
    }
    this.#last = postures;
    const pose = (side: HandSide) => {
      const posture = postures[side];
      return posture ? { joints: HANDS[side].joints(posture) } : NO_HANDS[side];
    };
    return { left: pose('left'), right: pose('right') };
  }
}
