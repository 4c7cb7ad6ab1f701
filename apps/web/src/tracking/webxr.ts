/**
 * Hands and head of a headset, by WebXR Hand Input. The headset shows the visitor's own surroundings, or nothing where
 * it cannot; the page shows the room. Loaded when first asked for.
 */
import { type HandPose, type Hands, SIDES, WEBXR_JOINTS } from '@dwm/renderer';
import { matrices } from '@dwm/renderer/scene';
import { fromStart, type Start, startOf, type Tracked } from './tracked.ts';

/** The part of WebXR that is used here; TypeScript's DOM types leave it out. */
interface XrTransform {
  readonly matrix: Float32Array;
  readonly position: DOMPointReadOnly;
  readonly orientation: DOMPointReadOnly;
}
interface XrFrame {
  getViewerPose(space: object): { readonly transform: XrTransform } | null;
  getJointPose?(joint: object, space: object): { readonly transform: XrTransform } | null;
}
interface XrSession extends EventTarget {
  readonly inputSources: Iterable<{
    readonly handedness: string;
    readonly hand?: Map<string, object> | null;
  }>;
  requestReferenceSpace(type: string): Promise<object>;
  requestAnimationFrame(callback: (time: number, frame: XrFrame) => void): number;
  updateRenderState(state: object): Promise<void> | void;
  end(): Promise<void>;
}
interface XrSystem {
  isSessionSupported(mode: string): Promise<boolean>;
  requestSession(mode: string, options: object): Promise<XrSession>;
}
type XrLayer = new (
  session: XrSession,
  context: WebGLRenderingContext,
) => { readonly framebuffer: WebGLFramebuffer };

const MODES = ['immersive-ar', 'immersive-vr'];
const system = () => (navigator as { xr?: XrSystem }).xr;

async function supportedMode(): Promise<string | undefined> {
  for (const mode of MODES)
    if (
      await system()
        ?.isSessionSupported(mode)
        .catch(() => false)
    )
      return mode;
  return undefined;
}

export const hasHeadset = async (): Promise<boolean> => (await supportedMode()) !== undefined;

/** Follows until the session ends or the signal ends it. To be called from a click. @throws Error where the headset refuses. */
export async function followHeadset(
  onTracked: (tracked: Tracked) => void,
  signal: AbortSignal,
): Promise<void> {
  const mode = await supportedMode();
  if (!mode) throw new Error('this browser offers no headset');
  const session = await system()!.requestSession(mode, { requiredFeatures: ['hand-tracking'] });
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('webgl', { xrCompatible: true }) as WebGLRenderingContext | null;
  if (!context) throw new Error('the headset needs WebGL for its own picture, and there is none');
  const Layer = (globalThis as unknown as { XRWebGLLayer: XrLayer }).XRWebGLLayer;
  const layer = new Layer(session, context);
  await session.updateRenderState({ baseLayer: layer });
  const space = await session.requestReferenceSpace('local');
  let start: Start | undefined;
  const follow = (_: number, frame: XrFrame) => {
    session.requestAnimationFrame(follow);
    context.bindFramebuffer(context.FRAMEBUFFER, layer.framebuffer);
    context.clear(context.COLOR_BUFFER_BIT);
    const viewer = frame.getViewerPose(space);
    if (!viewer) return;
    const head = matrices.transpose(viewer.transform.matrix);
    start ??= startOf(head);
    const { position, rotation } = placed(start, viewer.transform);
    onTracked({ head: matrices.compose(position, rotation), hands: handsIn(session, frame, space, start) });
  };
  session.requestAnimationFrame(follow);
  const ended = new Promise((resolve) => session.addEventListener('end', resolve));
  // One that ended by itself cannot be ended.
  const end = () => session.end().catch(() => {});
  if (signal.aborted) end();
  else signal.addEventListener('abort', end);
  await ended;
}

const placed = (start: Start, { position: p, orientation: q }: XrTransform) =>
  fromStart(start, [p.x, p.y, p.z], [q.x, q.y, q.z, q.w]);

/** A hand with a joint that the headset does not see is not there. */
function handsIn(session: XrSession, frame: XrFrame, space: object, start: Start): Hands {
  const [left, right] = SIDES.map((side): HandPose | null => {
    const source = [...session.inputSources].find(({ handedness, hand }) => handedness === side && hand);
    if (!source?.hand || !frame.getJointPose) return null;
    const joints = new Float64Array(WEBXR_JOINTS.length * 7);
    for (const [i, name] of WEBXR_JOINTS.entries()) {
      const joint = source.hand.get(name);
      const pose = joint && frame.getJointPose(joint, space);
      if (!pose) return null;
      const { position, rotation } = placed(start, pose.transform);
      joints.set([...position, ...rotation], 7 * i);
    }
    return { joints };
  });
  return { left, right };
}
