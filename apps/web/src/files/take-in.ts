/** Files that a visitor dropped or picked, brought to where they belong. */
import type { DroppedFile } from '../model-store/dropped.ts';
import type { Session } from '../state/session.ts';
import { kindOf } from './kinds.ts';

export async function takeIn(
  session: Session,
  { folder, files }: { readonly folder: string | undefined; readonly files: readonly DroppedFile[] },
  keep = false,
): Promise<void> {
  const { phase } = session.engine.state;
  if (session.busy()) {
    const lost = phase === 'lost' || phase === 'failed';
    session.notice.show(
      new Error(
        lost
          ? 'nothing can be opened without a graphics device; press Start again first'
          : 'the page is at work; open the files again when it is done, or cancel it',
      ),
    );
    return;
  }
  // In a folder of a model an empty file may be as it should.
  const empty =
    folder === undefined && files.find(({ path, file }) => file.size === 0 && !/\.txt$/i.test(path));
  if (empty) {
    session.notice.show(new Error(`${empty.path}: is empty (0 bytes); copy the file again`));
    return;
  }
  const what = kindOf(files);
  switch (what.kind) {
    case 'model':
      await session.useModel({ kind: 'files', name: folder ?? files[0].path, files, keep });
      break;
    case 'lora':
      await session.useLora({ name: folder ?? files[0].path, files });
      break;
    case 'room':
      await session.useRoom({ kind: 'files', files });
      break;
    case 'videos':
      try {
        const caption = (await what.caption?.file.text())?.trim();
        await session.useVideos({
          scene: what.scene.file,
          hands: what.hands.file,
          ...(caption && { caption }),
        });
      } catch (error) {
        session.notice.show(error);
      }
      break;
    case 'trajectory':
      try {
        const { readRecording } = await import('./recording.ts');
        const lines: string[] = [];
        const motion = await readRecording(what.files, (line) => lines.push(line));
        if ((await session.motions.use(motion)) && lines.length > 0)
          session.notice.show(new Error(lines.join('; ')));
      } catch (error) {
        session.notice.show(error);
      }
      break;
    case 'unknown':
      session.notice.show(new Error(what.reason));
  }
}
