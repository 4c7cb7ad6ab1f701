/**
 * Mouse, touch and keys to movements of camera and hand. A drag that begins near the hand moves it, in the plane that
 * faces the camera (with Shift along the view ray, with Alt turning it); any other drag orbits, and with the right
 * button looks around. Two fingers move along the ray. WASD and QE walk while they are held; Shift with arrows orbits.
 */
import type { Intrinsics } from '@dwm/renderer';
import { type CameraRig, orbited, projected, walked } from './camera-rig.ts';
import { draggedAlongRay, draggedInPlane, grasped, type HandRig, turned } from './hand-rig.ts';
import { clamp, type Vec3 } from './vectors.ts';

export interface Rigs {
  readonly camera: CameraRig;
  readonly hand: HandRig;
}

export type Change = (rigs: Rigs) => Rigs;

/** Share of the picture's height within which a drag takes the hand. */
const REACH = 0.3;
const ORBIT = 0.9;
const WALK_SPEED = 1.2;
const TURN_SPEED = 3;

const KEYS: Readonly<Record<string, Vec3>> = {
  KeyW: [0, 0, 1],
  KeyS: [0, 0, -1],
  KeyA: [-1, 0, 0],
  KeyD: [1, 0, 0],
  KeyE: [0, 1, 0],
  KeyQ: [0, -1, 0],
};

/** A step of a key that moves the hand: pixels in the picture's plane of 480, metres along the ray, or a turn. */
const HAND_KEYS: Readonly<Record<string, (rigs: Rigs, lens: Intrinsics) => HandRig>> = {
  ArrowLeft: ({ hand, camera }, lens) => draggedInPlane(hand, camera, lens, -lens.width / 48, 0),
  ArrowRight: ({ hand, camera }, lens) => draggedInPlane(hand, camera, lens, lens.width / 48, 0),
  ArrowUp: ({ hand, camera }, lens) => draggedInPlane(hand, camera, lens, 0, -lens.width / 48),
  ArrowDown: ({ hand, camera }, lens) => draggedInPlane(hand, camera, lens, 0, lens.width / 48),
  PageUp: ({ hand, camera }) => draggedAlongRay(hand, camera, 0.02),
  PageDown: ({ hand, camera }) => draggedAlongRay(hand, camera, -0.02),
  KeyZ: ({ hand }) => turned(hand, 0.1, 0, 0),
  KeyX: ({ hand }) => turned(hand, -0.1, 0, 0),
  KeyG: ({ hand }) => grasped(hand),
};

/** With Shift, radians: turns about what is seen, and the wrist's bends. */
const ORBIT_KEYS: Readonly<Record<string, readonly [yaw: number, pitch: number]>> = {
  ArrowLeft: [0.08, 0],
  ArrowRight: [-0.08, 0],
  ArrowUp: [0, 0.08],
  ArrowDown: [0, -0.08],
};
const BEND_KEYS: Readonly<Record<string, number>> = { KeyZ: 0.1, KeyX: -0.1 };

type Grab = 'hand' | 'ray' | 'turn' | 'orbit' | 'look';

interface Listeners {
  /** Given what to do with the rigs, whenever something moves. */
  change(by: Change): void;
  /** A pointer takes the hand. */
  taken(): void;
  /** No pointer holds it any more. */
  let(): void;
  /** A key moves it. */
  nudged(): void;
  /** Whether a pointer that is over the picture would take the hand. */
  hovers(on: boolean): void;
}

/** Listens on `element`, which shows `lens()` pixels, until the returned function is called. */
export function attachControls(
  element: HTMLElement,
  rigs: () => Rigs,
  lens: () => Intrinsics,
  { change, taken, let: letGo, nudged, hovers }: Listeners,
): () => void {
  const pointers = new Map<number, { x: number; y: number; grab: Grab }>();
  const held = new Set<string>();
  let walking = 0;

  const toPicture = (event: PointerEvent) => {
    const box = element.getBoundingClientRect();
    const scale = lens().width / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  };

  const near = (x: number, y: number) => {
    const { camera, hand } = rigs();
    const at = projected(camera, lens(), hand.position);
    return at.depth > 0 && Math.hypot(at.x - x, at.y - y) < REACH * lens().height;
  };
  const grabOf = (event: PointerEvent, x: number, y: number): Grab => {
    if (event.button === 2) return 'look';
    if (!near(x, y)) return 'orbit';
    return event.shiftKey ? 'ray' : event.altKey ? 'turn' : 'hand';
  };

  const moves: Record<Grab, (rigs: Rigs, dx: number, dy: number) => Rigs> = {
    hand: ({ camera, hand }, dx, dy) => ({ camera, hand: draggedInPlane(hand, camera, lens(), dx, dy) }),
    ray: ({ camera, hand }, _, dy) => ({ camera, hand: draggedAlongRay(hand, camera, -dy / lens().height) }),
    turn: ({ camera, hand }, dx, dy) => ({
      camera,
      hand: turned(hand, (-TURN_SPEED * dx) / lens().width, (-TURN_SPEED * dy) / lens().width, 0),
    }),
    orbit: ({ camera, hand }, dx, dy) => ({
      hand,
      camera: orbited(camera, (-TURN_SPEED * dx) / lens().width, (-TURN_SPEED * dy) / lens().width, ORBIT),
    }),
    look: ({ camera, hand }, dx, dy) => ({
      hand,
      camera: orbited(camera, (TURN_SPEED * dx) / lens().width, (TURN_SPEED * dy) / lens().width, 0),
    }),
  };

  const down = (event: PointerEvent) => {
    const { x, y } = toPicture(event);
    const grab = grabOf(event, x, y);
    pointers.set(event.pointerId, { x, y, grab });
    // A second finger makes the gesture one along the ray.
    if (pointers.size === 2) for (const pointer of pointers.values()) pointer.grab = 'ray';
    if (pointers.size === 2 || (grab !== 'orbit' && grab !== 'look')) taken();
    element.setPointerCapture(event.pointerId);
    // A ring about the picture is for those who came by key.
    element.focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  };
  const move = (event: PointerEvent) => {
    const pointer = pointers.get(event.pointerId);
    const { x, y } = toPicture(event);
    if (pointers.size === 0) hovers(near(x, y));
    if (!pointer) return;
    const [dx, dy] = [x - pointer.x, y - pointer.y];
    Object.assign(pointer, { x, y });
    const share = 1 / pointers.size;
    change((now) => moves[pointer.grab](now, dx * share, dy * share));
  };
  const up = (event: PointerEvent) => {
    if (pointers.delete(event.pointerId) && pointers.size === 0) letGo();
  };
  const leave = () => hovers(false);
  const wheel = (event: WheelEvent) => {
    // Who holds nothing scrolls the page.
    if (![...pointers.values()].some(({ grab }) => grab === 'hand')) return;
    event.preventDefault();
    const metres = clamp(-event.deltaY / 1500, -0.1, 0.1);
    change(({ camera, hand }) => ({ camera, hand: draggedAlongRay(hand, camera, metres) }));
  };

  const walk = (before: number) => {
    walking = requestAnimationFrame((now) => {
      if (held.size === 0) {
        walking = 0;
        return;
      }
      const step = (WALK_SPEED * Math.min(100, now - before)) / 1000;
      change(({ camera, hand }) => {
        let next = camera;
        for (const key of held) next = walked(next, KEYS[key].map((v) => v * step) as unknown as Vec3);
        // The hand goes along with the one whose hand it is.
        const along = next.position.map((v, i) => v - camera.position[i] + hand.position[i]);
        return { camera: next, hand: { ...hand, position: along as unknown as Vec3 } };
      });
      walk(now);
    });
  };
  const keyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey) return;
    if (KEYS[event.code]) {
      held.add(event.code);
      if (walking === 0) walk(performance.now());
      event.preventDefault();
    } else if (event.shiftKey && ORBIT_KEYS[event.code]) {
      event.preventDefault();
      const [yaw, pitch] = ORBIT_KEYS[event.code];
      change(({ camera, hand }) => ({ hand, camera: orbited(camera, yaw, pitch, ORBIT) }));
    } else if (event.shiftKey && BEND_KEYS[event.code]) {
      event.preventDefault();
      nudged();
      change(({ camera, hand }) => ({ camera, hand: turned(hand, 0, BEND_KEYS[event.code], 0) }));
    } else if (HAND_KEYS[event.code]) {
      event.preventDefault();
      nudged();
      change((now) => ({ ...now, hand: HAND_KEYS[event.code](now, lens()) }));
    }
  };
  const keyUp = (event: KeyboardEvent) => held.delete(event.code);
  const blur = () => held.clear();
  const menu = (event: Event) => event.preventDefault();

  const listeners = {
    pointerdown: down,
    pointermove: move,
    pointerup: up,
    pointercancel: up,
    pointerleave: leave,
    wheel,
    keydown: keyDown,
    keyup: keyUp,
    blur,
    contextmenu: menu,
  } as Record<string, (event: never) => void>;
  for (const [name, listener] of Object.entries(listeners))
    element.addEventListener(name, listener as EventListener, { passive: false });
  return () => {
    cancelAnimationFrame(walking);
    for (const [name, listener] of Object.entries(listeners))
      element.removeEventListener(name, listener as EventListener);
  };
}
