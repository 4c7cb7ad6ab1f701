/** Rooms worth trying. `build/make-gallery.ts` chooses them, brings them to rest and records what the model makes of each. */
import rooms from './rooms.json' with { type: 'json' };

export interface GalleryRoom {
  /** What to do there, in a few words. */
  readonly name: string;
  readonly seed: number;
  /** What lies about, at rest: as `restOf` of `@dwm/synth` gives it. */
  readonly rest: readonly number[];
}

export const GALLERY: readonly GalleryRoom[] = rooms;

/** The page under a name of the room's own, whose preview card shows the room. */
export const roomPage = (seed: number): string => `room-${seed}.html`;
