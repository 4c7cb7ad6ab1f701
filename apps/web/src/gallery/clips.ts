/** The recordings of the gallery's rooms: what the model drew of a straight drag in each. */
import { GALLERY } from './rooms.ts';

const files = import.meta.glob<string>('./clips/*.webp', { eager: true, query: '?url', import: 'default' });

interface RecordedClip {
  readonly moving: string;
  /** Its last frame, for those who want nothing that moves. */
  readonly still: string;
}

/** The recording of a room; the first room's stands in for rooms without one. */
export function clipOf(seed: number | undefined): RecordedClip {
  const number =
    Math.max(
      0,
      GALLERY.findIndex((room) => room.seed === seed),
    ) + 1;
  return { moving: files[`./clips/${number}.webp`], still: files[`./clips/${number}-still.webp`] };
}
