-- Serves another program, one line in and one line out, through two named pipes in the world's
-- folder. The engine waits in read(), so its time moves only when it is asked for something.
--
--   spawn X Z LAYER            -> X Y Z of a level, open spot near there
--   load X Y Z RADIUS          -> once all land around is built and has reached the client
--   nodes X Y Z RADIUS         -> once the file "nodes" tells what stands around: see write_nodes
--   walk X Y Z FALL GROUNDED YAW FORWARD -> the body a tick later: X Y Z FALL GROUNDED
--   look X Y Z YAW             -> the eye is told to go there
local AT_A_TIME = 16 -- commands a server step: one a step would cap them at 30 a second
local HEIGHT = 32 -- of the land above its layer's base

return function(land, body, open_eye, looks)
	local folder = core.get_worldpath()
	local commands, answers
	local player, busy, barriers = nil, false, 0
	local built -- what is to be done now that the land is
	local sent = {} -- what the client has: the blocks in reach of the last load

	local function answer(...)
		local words = {}
		for index, word in ipairs({...}) do
			words[index] = type(word) == "number" and string.format("%.17g", word) or word
		end
		answers:write(table.concat(words, " "), "\n")
		answers:flush()
	end

	-- Media travel after the blocks on the same ordered channel and the client says when it has
	-- them: then it has the blocks too. The engine tells a mod nothing about the blocks themselves.
	local function after_blocks(call)
		barriers = barriers + 1
		local path = folder .. "/barrier" .. barriers .. ".tr"
		local file = assert(io.open(path, "w"))
		file:write("# textdomain: barrier", barriers, "\n")
		file:close()
		local options = {filepath = path, to_player = player:get_player_name(), ephemeral = true}
		assert(core.dynamic_add_media(options, function()
			os.remove(path)
			call()
		end))
	end

	local function send_blocks(x, z, base, radius)
		local reach, kept, new = math.ceil(radius / 16) + 1, {}, 0
		local bx, by, bz = math.floor(x / 16), base / 16, math.floor(z / 16)
		for i = bx - reach, bx + reach do
			for j = bz - reach, bz + reach do
				local dx, dz = i * 16 + 7.5 - x, j * 16 + 7.5 - z
				for k = by, by + HEIGHT / 16 - 1 do
					if dx * dx + dz * dz <= radius * radius then
						local block = {x = i, y = k, z = j}
						local key = core.hash_node_position(block)
						kept[key] = true
						if not sent[key] then
							assert(core.get_node_or_nil(vector.multiply(block, 16)), "no such block")
							player:send_mapblock(block) -- false: the engine's own sender was first
							new = new + 1
						end
					end
				end
			end
		end
		sent = kept -- what left the reach is sent again, since the client may drop it
		return new
	end

	local function load(x, y, z, radius)
		local base = math.floor(y / land.LAYER + 0.5) * land.LAYER
		local from = {x = x - radius - 16, y = base, z = z - radius - 16}
		local to = {x = x + radius + 16, y = base + HEIGHT - 1, z = z + radius + 16}
		busy = true
		core.emerge_area(from, to, function(_, _, left)
			if left > 0 then
				return
			end
			-- Media that are added by the thread that builds land may be forgotten again by the
			-- server's step, which goes through them meanwhile: that step is to add them.
			built = function()
				local new = send_blocks(x, z, base, radius)
				local function done()
					busy = false
					answer(new)
				end
				if new == 0 then
					done()
				else
					after_blocks(done)
				end
			end
		end)
	end

	-- A line: the middle of the first node, how many there are to the east, up and north, and the
	-- names of what they look like. Then a byte a node, the place of its name from 0: eastwards
	-- first, then upwards, then northwards. Nodes nobody has built look like air.
	local data = {}
	local function write_nodes(x, y, z, radius)
		local base = math.floor(y / land.LAYER + 0.5) * land.LAYER
		local vm = core.get_voxel_manip()
		local lo, hi = vm:read_from_map(
			{x = x - radius, y = base, z = z - radius},
			{x = x + radius, y = base + HEIGHT - 1, z = z + radius})
		local names, bytes, numbers = {"air"}, {}, {air = string.char(0)}
		for id, look in pairs(looks) do
			if not numbers[look] then
				numbers[look] = string.char(#names)
				names[#names + 1] = look
			end
			bytes[id] = numbers[look]
		end
		vm:get_data(data)
		local count = (hi.x - lo.x + 1) * (hi.y - lo.y + 1) * (hi.z - lo.z + 1)
		for at = 1, count do
			data[at] = bytes[data[at]] or bytes[core.CONTENT_AIR]
		end
		local file = assert(io.open(folder .. "/nodes", "wb"))
		file:write(table.concat({lo.x, lo.y, lo.z, hi.x - lo.x + 1, hi.y - lo.y + 1,
			hi.z - lo.z + 1, table.concat(names, " ")}, " "), "\n")
		file:write(table.concat(data, "", 1, count))
		file:close()
		answer("ok")
	end

	local serve = {
		spawn = function(x, z, layer)
			x, z = land.spawn(x, z, layer)
			answer(x, layer * land.LAYER + land.ground(x, z, layer) + 0.5, z)
		end,
		load = load,
		nodes = write_nodes,
		walk = function(x, y, z, fall, grounded, yaw, stride)
			local state = {x = x, y = y, z = z, fall = fall, grounded = grounded == 1}
			body(state, yaw, stride)
			answer(state.x, state.y, state.z, state.fall, state.grounded and 1 or 0)
		end,
		look = function(x, y, z, yaw)
			player:move_to({x = x, y = y, z = z})
			player:set_look_horizontal(yaw) -- its message carries the place too
			answer("ok")
		end,
	}

	core.register_on_joinplayer(function(joined)
		open_eye(joined)
		player = joined
	end)

	core.register_globalstep(function()
		if built then
			local call = built
			built = nil
			call()
		end
		if not player or busy then
			return
		end
		if not commands then
			answers = assert(io.open(folder .. "/answers", "w"))
			commands = assert(io.open(folder .. "/commands", "r"))
			answer("ready")
		end
		for _ = 1, AT_A_TIME do
			local line = commands:read("*l")
			if not line then
				return core.request_shutdown()
			end
			local words = line:split(" ")
			local numbers = {}
			for index = 2, #words do
				numbers[index - 1] = tonumber(words[index])
			end
			serve[words[1]](unpack(numbers))
			if busy then
				return
			end
		end
	end)
end
