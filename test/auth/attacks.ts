import { CLAIM_ATTACKS } from './attacks-on-claims.ts'
import { FORM_ATTACKS } from './attacks-on-form.ts'
import { SIGNATURE_ATTACKS } from './attacks-on-signatures.ts'

/** Every forged or odd token that this gateway has been tried with. */
export const ATTACKS = [...SIGNATURE_ATTACKS, ...FORM_ATTACKS, ...CLAIM_ATTACKS]
