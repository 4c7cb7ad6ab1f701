/** Where an earlier search of the same options stopped. */
import { InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { isObject } from '@dwm/core-tensor/files';
import { readJsonFile } from '@dwm/core-tensor/node';
import { type CemState, startSearch } from '@dwm/dwm-model/ranking';
import { exists } from '../generate/files.ts';
import { COORDINATES } from './hand-path.ts';

/**
 * The search so far.
 * @param key of the options; the file has that of the search which wrote it.
 * @throws InvalidArgumentError for another search's; InvalidFileError for one that is damaged.
 */
export async function readState(file: string, key: string): Promise<CemState> {
  if (!(await exists(file))) return startSearch();
  const { key: found, state } = await readJsonFile(file, 'the search so far');
  if (typeof found === 'string' && found !== key)
    throw new InvalidArgumentError('out', `${file} is another search's; choose another folder or delete it`);
  if (found === key && isState(state)) return state;
  throw new InvalidFileError(file, 'is damaged, expected scored paths; delete it, the search begins anew');
}

const isState = (state: unknown): state is CemState =>
  isObject(state) &&
  Number.isInteger(state.round) &&
  Array.isArray(state.scored) &&
  state.scored.length > 0 === Number(state.round) > 0 &&
  state.scored.every(isScored);

const isScored = (scored: unknown): boolean =>
  isObject(scored) &&
  Number.isFinite(scored.cost) &&
  Array.isArray(scored.point) &&
  scored.point.length === COORDINATES &&
  scored.point.every((value) => Number.isFinite(value) && value >= 0 && value <= 1);
