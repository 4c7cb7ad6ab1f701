/** vitest in a page: its runner and its `expect`, without its process. */
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  chai,
  customMatchers,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
} from '@vitest/expect';

export {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  it,
  onTestFinished,
  test,
} from '@vitest/runner';

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

export const expect = Object.assign((value: unknown, message?: string) => chai.expect(value, message), {
  fail: chai.expect.fail,
  ...(globalThis as unknown as Record<symbol, object>)[ASYMMETRIC_MATCHERS_OBJECT],
});
(expect as unknown as { extend(matchers: object): void }).extend?.(customMatchers);

/** Types are checked by `tsc`, not here. */
export const expectTypeOf = (): unknown => {
  const anything: unknown = new Proxy(() => anything, { get: () => anything });
  return anything;
};
