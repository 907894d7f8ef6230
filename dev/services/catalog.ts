import { makeDice } from './dice.ts'
import { commandLine, serveCollection } from './rest.ts'

const LOOKS = ['Blue', 'Folding', 'Heavy', 'Little', 'Oak', 'Quiet', 'Round', 'Steel', 'Striped', 'Warm']
const THINGS = {
  kitchen: ['kettle', 'pan', 'mug'],
  garden: ['spade', 'bench', 'lantern'],
  desk: ['lamp', 'pen', 'tray'],
}
const CATEGORIES = Object.keys(THINGS) as (keyof typeof THINGS)[]

const dice = makeDice(2)
const rows = Array.from({ length: 240 }, (_, index) => {
  const category = dice.oneOf(CATEGORIES)
  const name = `${dice.oneOf(LOOKS)} ${dice.oneOf(THINGS[category])}`
  return { id: index + 1, name, category, priceCents: 300 + 10 * dice.number(900), stock: dice.number(50) }
})

serveCollection({ name: 'products', rows, filters: ['category'] }, ...commandLine())
