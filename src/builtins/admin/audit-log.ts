import type { AuditEntry, IdentityClient } from '../../identity/types.ts'
import type { Endpoint } from './endpoint.ts'
import { shownTime } from './fields.ts'
import { pageQuery, readQuery, shownPage } from './page.ts'
import { settled } from './settled.ts'

/** Who changed what, newest first. There is no way to change it. */
export function makeAuditLog(identity: IdentityClient): Endpoint[] {
  return [
    {
      path: 'audit',
      on: {
        GET: async ({ query }) => {
          const ask = readQuery(query, pageQuery)
          if (ask instanceof Response) return ask
          const page = settled(await identity.auditLog(ask), 'entry')
          return page instanceof Response ? page : shownPage('audit', page, shownEntry)
        },
      },
    },
  ]
}

const shownEntry = ({ at, ...entry }: AuditEntry): object => ({ ...entry, at: shownTime(at) })
