// Light or dark, as the demo page has it: the choice is one for both.

export { Theme } from '../demo/parts';
