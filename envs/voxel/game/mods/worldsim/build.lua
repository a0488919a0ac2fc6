-- Builds the land into the engine's map, chunk by chunk, light included. A chunk is written from
-- the pure functions of land.lua alone, and never into its neighbours.
local DEPTH = 4 -- blocks of earth that are filled in below the ground
local SUN, SHADE = 15, 11

return function(land, ids)
	local data = {}
	local leafy = {[ids.oak_leaves] = true, [ids.birch_leaves] = true, [ids.pine_leaves] = true}

	local function fill_ground(area, lo, hi, base, layer, tops)
		local row = area.ystride
		for z = lo.z, hi.z do
			for x = lo.x, hi.x do
				local height = land.ground(x, z, layer)
				local at = area:index(x, base + height, z)
				tops[(z - lo.z) * 48 + x - lo.x] = height
				data[at] = ids.grass
				for down = 1, DEPTH do
					data[at - down * row] = down < 3 and ids.dirt or ids.stone
				end
			end
		end
	end

	-- A writer of one block that keeps to the chunk and changes nothing but air and plants' room.
	local function writer(area, lo, hi, base)
		return function(x, y, z, kind, over)
			y = base + y
			if x < lo.x or x > hi.x or y < lo.y or y > hi.y or z < lo.z or z > hi.z then
				return
			end
			local at = area:index(x, y, z)
			if over or data[at] == ids.air then
				data[at] = ids[kind]
			end
		end
	end

	local function put_rock(put, rock)
		local reach = math.ceil(rock.radius)
		for dx = -reach, reach do
			for dy = 0, reach do
				for dz = -reach, reach do
					if dx * dx + dy * dy + dz * dz <= rock.radius * rock.radius + 0.3 then
						put(rock.x + dx, rock.y + dy + 1, rock.z + dz, rock.kind)
					end
				end
			end
		end
	end

	local function put_layer(put, tree, y, reach, kind, layer)
		for dx = -reach, reach do
			for dz = -reach, reach do
				local corner = math.abs(dx) == reach and math.abs(dz) == reach and reach > 0
				if not corner or land.chance(tree.x + dx, tree.z + dz, layer, 30 + y) < 0.4 then
					put(tree.x + dx, y, tree.z + dz, kind)
				end
			end
		end
	end

	local function put_tree(put, tree, layer)
		local leaves, wood = tree.kind .. "_leaves", tree.kind == "birch" and "birch" or "oak"
		local top = tree.y + tree.trunk
		if tree.kind == "pine" then
			top = top + 2
			for down, reach in ipairs({1, 1, 2, 1, 2}) do
				put_layer(put, tree, top + 2 - down, reach, leaves, layer)
			end
		else
			for down, reach in ipairs({1, 1, 2, 2}) do
				put_layer(put, tree, top + 2 - down, reach, leaves, layer)
			end
		end
		for y = tree.y + 1, top do
			put(tree.x, y, tree.z, wood, true)
		end
	end

	local function put_plants(area, lo, hi, base, layer, tops)
		for z = lo.z, hi.z do
			for x = lo.x, hi.x do
				local at = area:index(x, base + tops[(z - lo.z) * 48 + x - lo.x] + 1, z)
				local kind = data[at] == ids.air and land.plant(x, z, layer)
				if kind then
					data[at] = ids[kind]
				end
			end
		end
	end

	-- Full sun, and shade below leaves. The engine's own light would depend on which neighbours
	-- were built first.
	local function set_light(vm, area, lo, hi)
		local row = area.ystride
		vm:set_lighting({day = SUN, night = 0}, lo, hi)
		for z = lo.z, hi.z do
			for x = lo.x, hi.x do
				local at = area:index(x, hi.y, z)
				for y = hi.y, lo.y, -1 do
					local kind = data[at]
					if leafy[kind] then
						local from, to = {x = x, y = lo.y, z = z}, {x = x, y = y, z = z}
						vm:set_lighting({day = SHADE, night = 0}, from, to)
					end
					if kind ~= ids.air then
						break
					end
					at = at - row
				end
			end
		end
	end

	core.register_on_generated(function(lo, hi)
		if (lo.y + 16) % land.LAYER ~= 0 then
			return
		end
		local base, layer, tops = lo.y + 16, (lo.y + 16) / land.LAYER, {}
		local vm, emin, emax = core.get_mapgen_object("voxelmanip")
		local area = VoxelArea:new({MinEdge = emin, MaxEdge = emax})
		vm:get_data(data)
		fill_ground(area, lo, hi, base, layer, tops)
		local put = writer(area, lo, hi, base)
		for _, rock in ipairs(land.rocks(lo.x, lo.z, hi.x, hi.z, layer)) do
			put_rock(put, rock)
		end
		local trees = land.trees(lo.x, lo.z, hi.x, hi.z, layer)
		for _, tree in ipairs(trees) do
			put_tree(put, tree, layer)
		end
		put_plants(area, lo, hi, base, layer, tops)
		vm:set_data(data)
		set_light(vm, area, lo, hi)
		vm:write_to_map()
	end)
end
