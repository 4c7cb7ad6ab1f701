/** Files that a visitor dropped or picked, brought to where they belong. */
import { readTransforms } from '@dwm/renderer';
import type { DroppedFile } from '../model-store/dropped.ts';
import type { Session } from '../state/session.ts';
import { kindOf } from './kinds.ts';

export async function takeIn(
  session: Session,
  { folder, files }: { readonly folder: string | undefined; readonly files: readonly DroppedFile[] },
): Promise<void> {
  const { phase, run, task } = session.state;
  if (phase !== 'ready' || run || task) {
    session.complain(
      new Error('the page is at work; open the files again when it is done, or cancel the run'),
    );
    return;
  }
  const what = kindOf(files);
  switch (what.kind) {
    case 'model':
      await session.useModel({ kind: 'files', name: folder ?? files[0].path, files, keep: false });
      break;
    case 'room':
      await session.useRoom({ kind: 'files', files });
      break;
    case 'videos':
      await session.useVideos(what.scene.file, what.hands.file);
      break;
    case 'trajectory':
      try {
        const { path, file } = what.file;
        await session.useMotion(readTransforms({ name: path, text: await file.text() }));
      } catch (error) {
        session.complain(error);
      }
      break;
    case 'unknown':
      session.complain(new Error(what.reason));
  }
}
