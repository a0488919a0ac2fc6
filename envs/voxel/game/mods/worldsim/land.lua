-- What stands where: pure functions of a place, so the order in which the land is built changes
-- nothing. The land has many layers, LAYER blocks above each other and out of each other's sight,
-- each a country of its own.
local LAYER = 480 -- ten of the engine's chunks of 48
local LOWEST, HIGHEST = 2, 18 -- the ground, above its layer's base
local TREE_CELL, ROCK_CELL = 5, 22
local SHARES = { -- of the tree cells that hold a tree: at least, at most, and what the noise adds
	mixed = {least = 0.03, most = 0.62, base = 0.28, noise = 0.75},
	forest = {least = 0.35, most = 0.7, base = 0.55, noise = 0.3},
	plains = {least = 0.01, most = 0.08, base = 0.03, noise = 0.06},
}

local function noise_of(seed, spread, octaves)
	local made
	return function(x, z, layer)
		made = made or core.get_perlin({ -- the engine has no seed yet while it reads this file
			offset = 0, scale = 1, spread = {x = spread, y = spread, z = spread},
			seed = seed, octaves = octaves, persistence = 0.5, lacunarity = 2,
		})
		return made:get_2d({x = x + layer * 7919, y = z})
	end
end

-- A number in [0, 1) that depends on four integers only; every product is below 2^53.
local function chance(a, b, c, salt)
	local h = (a * 73856093 + b * 19349663 + c * 83492791 + salt * 15485863) % 2147483647
	h = (h + 12345) * 48271 % 2147483647
	h = h * 69621 % 2147483647
	h = h * 48271 % 2147483647
	return h / 2147483647
end

return function(biome)
	local share = assert(SHARES[biome], "no such biome")
	local hills, bumps = noise_of(11, 90, 2), noise_of(12, 24, 2)
	local woods, meadow = noise_of(13, 60, 2), noise_of(14, 14, 1)
	local land = {LAYER = LAYER, chance = chance}

	-- Height of the topmost ground block above the layer's base.
	function land.ground(x, z, layer)
		local height = 9 + 6.5 * hills(x, z, layer) + 1.6 * bumps(x, z, layer)
		return math.max(LOWEST, math.min(HIGHEST, math.floor(height + 0.5)))
	end

	local function tree_at(i, j, layer)
		local x = i * TREE_CELL + math.floor(chance(i, j, layer, 1) * TREE_CELL)
		local z = j * TREE_CELL + math.floor(chance(i, j, layer, 2) * TREE_CELL)
		local n = woods(x, z, layer)
		local odds = math.max(share.least, math.min(share.most, share.base + share.noise * n))
		if chance(i, j, layer, 3) >= odds then
			return nil
		end
		local kinds = {"oak", "birch", "pine"}
		local drawn = chance(i, j, layer, 4) + 0.25 * meadow(x / 6, z / 6, layer)
		local kind = kinds[drawn < 0.5 and 1 or drawn < 0.8 and 2 or 3]
		local trunk = 4 + math.floor(chance(i, j, layer, 5) * 3)
		return {x = x, z = z, y = land.ground(x, z, layer), kind = kind, trunk = trunk}
	end

	local function rock_at(i, j, layer)
		if chance(i, j, layer, 6) >= 0.4 then
			return nil
		end
		local x = i * ROCK_CELL + math.floor(chance(i, j, layer, 7) * ROCK_CELL)
		local z = j * ROCK_CELL + math.floor(chance(i, j, layer, 8) * ROCK_CELL)
		local radius = 0.8 + 1.4 * chance(i, j, layer, 9)
		local kind = chance(i, j, layer, 10) < 0.5 and "moss" or "stone"
		return {x = x, z = z, y = land.ground(x, z, layer), radius = radius, kind = kind}
	end

	local function within(x1, z1, x2, z2, layer, cell, reach, at)
		local found = {}
		for i = math.floor((x1 - reach) / cell), math.floor((x2 + reach) / cell) do
			for j = math.floor((z1 - reach) / cell), math.floor((z2 + reach) / cell) do
				found[#found + 1] = at(i, j, layer)
			end
		end
		return found
	end

	-- The trees and rocks that may reach into a rectangle, always in the same order.
	function land.trees(x1, z1, x2, z2, layer)
		return within(x1, z1, x2, z2, layer, TREE_CELL, 3, tree_at)
	end
	function land.rocks(x1, z1, x2, z2, layer)
		return within(x1, z1, x2, z2, layer, ROCK_CELL, 3, rock_at)
	end

	-- What grows on a ground block that lies free, or nil.
	function land.plant(x, z, layer)
		local drawn, n = chance(x, z, layer, 20), meadow(x, z, layer)
		if drawn < 0.06 + 0.14 * math.max(0, n) then
			return chance(x, z, layer, 21) < 0.85 and "tall_grass" or "fern"
		elseif drawn > 0.985 - 0.03 * math.max(0, -n) then
			local kinds = {"red_flower", "yellow_flower", "blue_flower", "mushroom"}
			return kinds[1 + math.floor(chance(x, z, layer, 22) * 3.6)]
		elseif drawn > 0.6 and drawn < 0.6012 then
			return "pumpkin"
		end
		return nil
	end

	-- The first level, open spot around a place; the place itself if there is none.
	function land.spawn(x, z, layer)
		for try = 0, 400 do
			local reach = math.sqrt(try) * 2
			local sx = x + math.floor(reach * math.cos(try * 2.4) + 0.5)
			local sz = z + math.floor(reach * math.sin(try * 2.4) + 0.5)
			if land.is_open(sx, sz, layer) then
				return sx, sz
			end
		end
		return x, z
	end

	function land.is_open(x, z, layer)
		local height = land.ground(x, z, layer)
		for dx = -2, 2 do
			for dz = -2, 2 do
				if math.abs(land.ground(x + dx, z + dz, layer) - height) > 1 then
					return false
				end
			end
		end
		for _, found in ipairs({land.trees(x, z, x, z, layer), land.rocks(x, z, x, z, layer)}) do
			for _, thing in ipairs(found) do
				if math.max(math.abs(thing.x - x), math.abs(thing.z - z)) < 3 then
					return false
				end
			end
		end
		return land.plant(x, z, layer) ~= "pumpkin"
	end

	return land
end
