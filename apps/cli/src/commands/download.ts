/** `dwm download ID`: weights from the model hub, resumable and checked. */
import { downloadModel } from '@dwm/dwm-model/node';
import type { Command } from 'commander';
import { recordModel } from '../hub-folder.ts';
import { interruptible } from '../interrupt.ts';
import { clock, createReporter, size } from '../report.ts';

export function addDownload(program: Command): void {
  program
    .command('download')
    .argument('<id>', 'owner/name on the hub')
    .requiredOption('--out <dir>', 'folder to put the files in')
    .option('--revision <name>', 'branch, tag or commit', 'main')
    .option('--include <pattern...>', 'only files that match, e.g. "vae/*"')
    .addHelpText(
      'after',
      '\nHF_TOKEN is sent for gated models; HF_ENDPOINT names another hub. A stopped download goes on where it was.',
    )
    .action(async (id: string, options: { out: string; revision: string; include?: string[] }) => {
      const reporter = createReporter(program.opts().json === true);
      const result = await interruptible((signal) =>
        downloadModel(id, {
          outDir: options.out,
          revision: options.revision,
          include: options.include,
          signal,
          onProgress: ({ file, bytes, totalBytes, bytesPerSecond, etaSeconds }) => {
            const rate = bytesPerSecond ? `, ${size(bytesPerSecond)}/s` : '';
            const eta = etaSeconds === undefined ? '' : `, ${clock(etaSeconds)} left`;
            reporter.progress(`${size(bytes)} of ${size(totalBytes)}${rate}${eta}  ${file}`);
          },
        }),
      );
      await recordModel(result.dir, { id, commit: result.commit });
      const fresh = result.files.filter(({ status }) => status === 'downloaded').length;
      reporter.result(
        result,
        `${result.dir}: ${fresh} files downloaded, ${result.files.length - fresh} were there already`,
      );
    });
}
